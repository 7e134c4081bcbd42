"""Where faults strike: the population of what may be struck, and sampling from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from resilience.faults.layers import PARTS, PASSING, Layer, Part, Targets, targeted

SAMPLER_VERSION = 1
"""Raised whenever the same generator would draw other faults; it enters every trial's seed."""

Structure = Literal["element", "row", "kernel", "channel", "tensor", "burst"]
Duration = Literal["permanent", "transient"]


@dataclass(frozen=True, slots=True)
class Population:
    """What faults may strike: layers in the order in which the network uses them.

    Attributes
    ----------
    structure
        What one fault strikes: one element, or so many neighbouring ones of a tensor.
    burst
        Elements of the structure `burst`.
    transient
        Whether each image has its own faults in what passes through the network.
    """

    layers: tuple[Layer, ...]
    structure: Structure = "element"
    burst: int = 1
    transient: bool = False

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of structures in each layer, shape (layers,)."""
        return np.array(
            [-(-layer.size // self._length(layer)) for layer in self.layers], dtype=np.int64
        )

    @property
    def size(self) -> int:
        """Number of structures in all layers, the N of failure rates."""
        return int(self.sizes.sum())

    @property
    def unit(self) -> str:
        """What is counted, in the plural."""
        if self.structure != "element":
            return f"{self.structure}s"
        return "weights" if {layer.part for layer in self.layers} == {"weights"} else "elements"

    def only(self, wanted: Callable[[Layer], bool]) -> "Population":
        """The same of some of the layers."""
        layers = tuple(layer for layer in self.layers if wanted(layer))
        return Population(layers, self.structure, self.burst, self.transient)

    def elements(self, layer: Layer, structures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row-major indices of all elements of these structures of a layer, shape (elements,)."""
        length = self._length(layer)
        if length == 1:
            return structures
        indices = (structures[:, None] * length + np.arange(length)).ravel()
        return indices[indices < layer.size]  # the last burst of a layer may be shorter

    def _length(self, layer: Layer) -> int:
        """Elements of one structure; each is a run of neighbours in row-major order."""
        if self.structure == "element":
            return 1
        # Activations and images have no input channels, so that a kernel is a channel's plane.
        kernel = 1 if layer.part in PASSING else 2
        return {
            "row": layer.shape[-1],
            "kernel": math.prod(layer.shape[kernel:]),
            "channel": math.prod(layer.shape[1:]),
            "tensor": layer.size,
            "burst": self.burst,
        }[self.structure]


class Sites(Protocol):
    """A choice of what may be struck, and how likely each structure is."""

    def population(self, layers: Sequence[Layer]) -> Population:
        """Those of the network's layers that may be struck."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Numbers of `count` distinct structures, sorted, one array for each layer."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What every choice of sites can be told.

    Attributes
    ----------
    targets
        Which layers: names, patterns or kinds, see `targeted`; None: all.
    part
        Which of their tensors, one or several of `resilience.faults.layers.PARTS`.
    structure
        What one fault strikes: an element, a row (the last dimension), a kernel (of activations
        and images: a channel), a channel (a slice along the first dimension), a whole tensor, or
        a burst: neighbours in memory, aligned to its length.
    burst
        Elements of a burst.
    duration
        Of faults in activations and inputs: permanent (the same for every image) or transient
        (each image has its own).
    """

    targets: Targets = None
    part: Part | Sequence[Part] = "weights"
    structure: Structure = "element"
    burst: int = 4
    duration: Duration = "permanent"

    LATER: ClassVar = frozenset({"part", "structure", "burst", "duration"})
    """Options that earlier results do not speak of: there, they were at their defaults."""

    def __post_init__(self) -> None:
        _one_of("structure", self.structure, get_args(Structure))
        _one_of("duration", self.duration, get_args(Duration))
        for part in self.parts:
            _one_of("part", part, PARTS)
        if not isinstance(self.burst, int) or self.burst < 2:
            raise ValueError(
                f"sites.burst must be 2 elements or more, a whole number, got {self.burst}"
            )
        if self.duration == "transient" and not set(self.parts) & set(PASSING):
            raise ValueError(
                "sites.duration=transient is of activations and inputs; "
                f"faults in {' and '.join(self.parts)} are permanent"
            )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that are named, one or several."""
        return (self.part,) if isinstance(self.part, str) else tuple(self.part)

    def population(self, layers: Sequence[Layer]) -> Population:
        """All layers of these parts, or those of them that are targets.

        Raises
        ------
        ValueError
            If there are none.
        """
        of_parts = [layer for layer in layers if layer.part in self.parts]
        if not of_parts:
            raise ValueError(
                f"no layer that these sites draw from has {' or '.join(self.parts)}; "
                "say another sites.part, or sites=layerwise or uniform"
            )
        return Population(
            targeted(of_parts, self.targets),
            self.structure,
            self.burst,
            transient=self.duration == "transient",
        )


def _one_of(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"sites.{option} must be one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Layerwise(Scope):
    """Layers drawn evenly, with replacement, then distinct structures in each."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Numbers of `count` distinct structures, sorted, one array for each layer.

        What does not fit into a full layer is drawn again, evenly among the others.
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
    """The publication's choice: convolution layers drawn evenly, then distinct weights in each."""

    def population(self, layers: Sequence[Layer]) -> Population:
        """The convolutions (and normalisations, and the image), or those that are targets.

        Raises
        ------
        ValueError
            For a network with fewer than three convolutions: the choice means little there.
        """
        convolutions = [
            layer for layer in layers if layer.kind == "convolution" and layer.part == "weights"
        ]
        if len(convolutions) < 3:
            raise ValueError(
                f"sites=paper draws among convolution layers, and this network has "
                f"{len(convolutions)}; use sites=layerwise or sites=uniform"
            )
        kept = [layer for layer in layers if layer.kind not in ("linear", "attention")]
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


def fault_count(frate: float, population: Population) -> int:
    """Number of faults that a failure rate means: round(frate x N), by Python's rounding.

    Raises
    ------
    ValueError
        For a rate outside [0, 1], or one above 0 that gives no fault.
    """
    if not 0 <= frate <= 1:
        raise ValueError(f"frate must lie in [0, 1], got {frate}")
    count = round(frate * population.size)
    if frate > 0 and count == 0:
        alone = f" of {population.layers[0].name}" if len(population.layers) == 1 else ""
        raise ValueError(
            f"frate={frate:g} of {population.size:,} {population.unit}{alone} gives no fault; "
            f"frate={1 / population.size:.2g} gives one"
        )
    return count
