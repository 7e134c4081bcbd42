"""Where faults strike: the population of weights, and sampling from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resilience.layers import Layer, Targets, targeted

SAMPLER_VERSION = 1
"""Raised whenever the same generator would draw other faults; it enters every trial's seed."""


@dataclass(frozen=True, slots=True)
class Population:
    """The weights that faults may strike: layers in the order in which the network uses them."""

    layers: tuple[Layer, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of weights of each layer, shape (layers,)."""
        return np.array([layer.size for layer in self.layers], dtype=np.int64)

    @property
    def size(self) -> int:
        """Number of weights of all layers, the N of failure rates."""
        return sum(layer.size for layer in self.layers)


class Sites(Protocol):
    """A choice of which weights may be struck, and how likely each is."""

    def population(self, layers: Sequence[Layer]) -> Population:
        """Those of the network's layers that may be struck."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer."""


@dataclass(frozen=True, slots=True)
class Layerwise:
    """Layers drawn evenly, with replacement, then distinct weights in each.

    Attributes
    ----------
    targets
        Which layers: names, patterns or kinds, see `targeted`; None: all.
    """

    targets: Targets = None

    def population(self, layers: Sequence[Layer]) -> Population:
        """All layers, or those of them that are targets."""
        return Population(targeted(layers, self.targets))

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer.

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
        """The convolution layers, or those of them that are targets.

        Raises
        ------
        ValueError
            For a network with fewer than three of them: the choice means little there.
        """
        convolutions = tuple(layer for layer in layers if layer.kind == "convolution")
        if len(convolutions) < 3:
            raise ValueError(
                f"sites=paper draws among convolution layers, and this network has "
                f"{len(convolutions)}; use sites=layerwise or sites=uniform"
            )
        return Population(targeted(convolutions, self.targets))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every weight of all layers equally likely, as a soft error in memory strikes.

    Attributes
    ----------
    targets
        Which layers: names, patterns or kinds, see `targeted`; None: all.
    """

    targets: Targets = None

    def population(self, layers: Sequence[Layer]) -> Population:
        """All layers, or those of them that are targets."""
        return Population(targeted(layers, self.targets))

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer."""
        sites = np.sort(rng.choice(population.size, count, replace=False))
        ends = np.cumsum(population.sizes)
        parts = np.split(sites, np.searchsorted(sites, ends[:-1]))
        return [part - start for part, start in zip(parts, ends - population.sizes, strict=True)]


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
        raise ValueError(
            f"frate={frate:g} of {population.size:,} weights gives no fault; "
            f"frate={1 / population.size:.2g} gives one"
        )
    return count
