"""Drawing faults: where they strike, and what they write."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.activations import PassingFaults, Rule
from resilience.faults.formats import Format
from resilience.faults.injection import Faults
from resilience.faults.layers import PASSING, Layer
from resilience.faults.memory import Storage
from resilience.faults.perturbations import AnyPerturbation, Striking
from resilience.faults.sites import Population, Sites

Structures = NDArray[np.int64]
"""Numbers of structures in a layer."""

LARGEST_LIST = 5_000_000
"""Elements in activations and inputs, over all images, that one draw may strike."""

_SITES, _VALUES = 0, 1
"""What an image's own generator is for."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Faults that were drawn, or listed.

    Attributes
    ----------
    stored
        In what the network's memory keeps, by layer; struck layers only.
    passing
        In what passes through the network.
    by_layer
        Number of faults of each struck layer; of transient ones, over all images.
    """

    stored: tuple[Faults, ...]
    passing: tuple[PassingFaults, ...]
    by_layer: Mapping[str, int]


def draw_faults(
    storage: Storage,
    population: Population,
    count: int,
    sites: Sites,
    perturb: AnyPerturbation,
    rng: np.random.Generator,
    images: int = 0,
) -> Drawn:
    """Draw exactly `count` faults on distinct sites; transient ones anew for each image.

    Parameters
    ----------
    images
        Number of images that pass through the network.

    Raises
    ------
    ValueError
        If there are fewer sites, if what passes is struck in more elements than can be listed, or
        if the perturbation does not give one value for each element, or one that the format lacks.
    """
    if count > population.size:
        raise ValueError(
            f"{count:,} faults do not fit on {population.size:,} {population.unit}, one on each"
        )
    drawn = dict(zip(population.layers, sites.draw(population, count, rng), strict=True))
    strike = Striking(perturb)
    by_layer: dict[str, int] = {}
    stored = []
    for layer, structures in drawn.items():
        if layer.part in PASSING or not len(structures):
            continue
        by_layer[layer.name] = len(structures)
        index = torch.from_numpy(population.elements(layer, structures))
        before = storage.codes(layer.name, index)
        scale, format = storage.scale(layer.name, index), storage.format_of(layer.name)
        whole = storage.tensor(layer.name)
        after, bits = strike(before, scale, format, whole, rng)
        stored.append(Faults(layer.name, index, before, after, layer.part, bits))

    passing = {layer: found for layer, found in drawn.items() if layer.part in PASSING}
    by_image = {layer: [found] * images for layer, found in passing.items()}
    if population.transient:
        by_image = _transient(population, sum(map(len, passing.values())), sites, rng, images)
    struck = {layer: found for layer, found in by_image.items() if any(map(len, found))}
    for layer, found in struck.items():
        by_layer[layer.name] = sum(map(len, found)) if population.transient else len(found[0])
    sites_of = {layer: _elements(population, layer, found) for layer, found in struck.items()}
    elements = sum(len(of_image) for by_image in sites_of.values() for of_image in by_image)
    if elements > LARGEST_LIST:
        raise ValueError(
            f"these faults are {elements:,} elements of {images:,} images, and each is kept; at "
            f"most {LARGEST_LIST:,} can be: take fewer images (dataset.limit) or smaller structures"
        )
    numbers = {layer: number for number, layer in enumerate(population.layers)}
    return Drawn(
        tuple(stored),
        tuple(
            PassingFaults(
                layer,
                sites_of[layer],
                _rule(strike, storage.format, rng, numbers[layer], population.transient),
            )
            for layer in struck
        ),
        by_layer,
    )


def _elements(
    population: Population, layer: Layer, by_image: list[Structures]
) -> list[NDArray[np.int64]]:
    """Elements of the structures that are struck, by image; permanent ones are the same array."""
    if population.transient:
        return [population.elements(layer, structures) for structures in by_image]
    return [population.elements(layer, by_image[0])] * len(by_image)


def _transient(
    population: Population, count: int, sites: Sites, rng: np.random.Generator, images: int
) -> dict[Layer, list[Structures]]:
    """Structures of its own for each image, `count` of them, by layer and image."""
    among = population.only(lambda layer: layer.part in PASSING)
    drawn = [sites.draw(among, count, _child(rng, _SITES, image)) for image in range(images)]
    return {layer: [of[number] for of in drawn] for number, layer in enumerate(among.layers)}


def _rule(
    strike: Striking,
    format: Format,
    rng: np.random.Generator,
    number: int,
    transient: bool,
) -> Rule:
    """Perturb what a layer gives: with the same draws for every image, or with each its own."""

    def rule(
        image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        own = _child(rng, _VALUES, number, *([image] if transient else []))
        return strike(codes, scale, format, output, own)

    return rule


def _child(rng: np.random.Generator, *key: int) -> np.random.Generator:
    """A generator of its own for this key, the same whatever was drawn from the parent."""
    root = rng.bit_generator.seed_seq
    assert isinstance(root, np.random.SeedSequence)
    seeds = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key))
    return np.random.Generator(np.random.PCG64(seeds))
