"""Where faults strike: which part of a population, and how likely each site of it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from resilience.faults.population.layers import (
    PARTS,
    TRANSIENT_PARTS,
    Part,
    Population,
    Structure,
    Targets,
    targeted,
)
from resilience.system.errors import UserError

OMITTED_AT_DEFAULT: Mapping[str, Any] = {"omitted_at_default": True}
"""Metadata of options that results name only where they differ from their defaults.

Results written before such an option existed read as if it had been at its default.
"""

Duration = Literal["permanent", "transient"]


class Sites(Protocol):
    """A choice of what may be struck, and how likely each structure is."""

    def population(self, population: Population) -> Population:
        """The part of a network's population that may be struck."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Numbers of `count` distinct structures, sorted, one array for each layer."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The options that every choice of sites has.

    Attributes
    ----------
    targets
        Layers by name, pattern or kind, see `targeted`; None: all.
    part
        Which of their tensors: one or several of weights, biases, norms, activations, inputs.
    structure
        What one fault strikes: an element, a row (the last dimension), a kernel (in activations
        and images: a channel), a channel (a slice along the first dimension), a whole tensor, or
        a burst: neighbours in memory, aligned to its length.
    burst
        Number of elements of a burst.
    duration
        Of faults in activations and inputs: permanent (the same for every image) or transient
        (each image has its own).
    """

    targets: Targets = None
    part: Part | Sequence[Part] = field(default="weights", metadata=OMITTED_AT_DEFAULT)
    structure: Structure = field(default="element", metadata=OMITTED_AT_DEFAULT)
    burst: int = field(default=4, metadata=OMITTED_AT_DEFAULT)
    duration: Duration = field(default="permanent", metadata=OMITTED_AT_DEFAULT)

    def __post_init__(self) -> None:
        _one_of("structure", self.structure, get_args(Structure))
        _one_of("duration", self.duration, get_args(Duration))
        for part in self.parts:
            _one_of("part", part, PARTS)
        if not isinstance(self.burst, int) or self.burst < 2:
            raise UserError(
                f"sites.burst must be 2 elements or more, a whole number, got {self.burst}"
            )
        if self.duration == "transient" and not set(self.parts) & set(TRANSIENT_PARTS):
            raise UserError(
                "sites.duration=transient applies to activations and inputs; "
                f"faults in {' and '.join(self.parts)} are permanent"
            )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that are named, one or several."""
        return (self.part,) if isinstance(self.part, str) else tuple(self.part)

    def population(self, population: Population) -> Population:
        """The layers of these parts, or those of them that are targeted.

        Raises
        ------
        UserError
            If there are none.
        """
        of_parts = [layer for layer in population if layer.part in self.parts]
        if not of_parts:
            raise UserError(
                f"no layer that these sites draw from has {' or '.join(self.parts)}; "
                "say another sites.part, or sites=layerwise or uniform"
            )
        return replace(
            population,
            layers=targeted(of_parts, self.targets),
            structure=self.structure,
            burst=self.burst,
            transient=self.duration == "transient",
        )


def _one_of(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"sites.{option} must be one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Layerwise(Scope):
    """Layers drawn uniformly with replacement, then distinct structures in each."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Numbers of `count` distinct structures, sorted, one array for each layer.

        What does not fit into a full layer is drawn again, uniformly among the others.
        """
        sizes = population.sizes
        counts = np.zeros_like(sizes)
        while missing := count - int(counts.sum()):
            open_layers = np.flatnonzero(counts < sizes)
            drawn = open_layers[rng.integers(len(open_layers), size=missing)]
            counts = np.minimum(counts + np.bincount(drawn, minlength=len(sizes)), sizes)
        return [
            np.sort(rng.choice(int(size), int(faults), replace=False))
            for size, faults in zip(sizes, counts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Paper(Layerwise):
    """The publication's choice: convolutions drawn uniformly, then distinct weights in each."""

    def population(self, population: Population) -> Population:
        """The convolutions (and normalisations, and the image), or those that are targeted.

        Raises
        ------
        UserError
            For a network with fewer than three convolutions, where this choice means little.
        """
        convolutions = [
            layer for layer in population if layer.kind == "convolution" and layer.part == "weights"
        ]
        if len(convolutions) < 3:
            raise UserError(
                f"sites=paper draws among convolution layers and needs at least 3; this network "
                f"has {len(convolutions)}: use sites=layerwise or sites=uniform"
            )
        kept = population.only(lambda layer: layer.kind not in ("linear", "attention"))
        return Scope.population(self, kept)


@dataclass(frozen=True, slots=True)
class Uniform(Scope):
    """Every weight of all layers equally likely, as a soft error in memory strikes."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Numbers of `count` distinct structures, sorted, one array for each layer."""
        sizes = population.sizes
        sites = np.sort(rng.choice(population.size, count, replace=False))
        ends = np.cumsum(sizes)
        parts = np.split(sites, np.searchsorted(sites, ends[:-1]))
        return [part - start for part, start in zip(parts, ends - sizes, strict=True)]
