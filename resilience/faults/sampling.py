"""Sampling faults: distinct sites, and what is written there."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.draw import ActivationFaults, Draw, LayerFaults, Rule
from resilience.faults.memory import Memory
from resilience.faults.perturbations import AnyPerturbation, Strike
from resilience.faults.population.layers import TRANSIENT_PARTS, Layer, Population
from resilience.faults.population.sites import Sites
from resilience.number_formats import NumberFormat
from resilience.system.errors import UserError

LARGEST_LIST = 5_000_000
"""Elements in activations and inputs, over all images, that one draw may strike."""

Structures = NDArray[np.int64]
"""Numbers of structures in a layer."""

_SITES, _VALUES = 0, 1
"""What an image's own generator is for."""


def sample(
    memory: Memory,
    population: Population,
    count: int,
    sites: Sites,
    perturb: AnyPerturbation,
    rng: np.random.Generator,
    images: int | None = None,
) -> Draw:
    """Draw exactly `count` faults on distinct sites; transient ones anew for each image.

    Parameters
    ----------
    population
        What may be struck.
    images
        Number of images that pass through the network; None: not known yet.

    Raises
    ------
    UserError
        If there are fewer sites, if more elements of activations are struck than can be listed, or
        if the perturbation does not give one value for each element, or one that the format lacks.
    """
    if count > population.size:
        raise UserError(
            f"{count:,} faults do not fit on {population.size:,} {population.unit}, one on each"
        )
    drawn = dict(zip(population.layers, sites.draw(population, count, rng), strict=True))
    strike = Strike(perturb)
    stored, by_layer = _stored(memory, population, drawn, strike, rng)
    activations, of_activations = _activations(
        memory.format, population, drawn, sites, strike, rng, images
    )
    return Draw(
        stored, activations, by_layer | of_activations, population, population.layers, memory.format
    )


def _stored(
    memory: Memory,
    population: Population,
    drawn: Mapping[Layer, Structures],
    strike: Strike,
    rng: np.random.Generator,
) -> tuple[tuple[LayerFaults, ...], dict[str, int]]:
    """Faults in what the memory keeps, and their number by layer."""
    stored, by_layer = [], {}
    for layer, structures in drawn.items():
        if layer.part in TRANSIENT_PARTS or not len(structures):
            continue
        by_layer[layer.name] = len(structures)
        index = torch.from_numpy(population.elements(layer, structures))
        before = memory.codes(layer.name, index)
        scale, format = memory.scale(layer.name, index), memory.format_of(layer.name)
        # Rounding a whole tensor takes long, and few perturbations ask for it.
        whole = memory.tensor(layer.name) if strike.takes_weight else before
        after, bits = strike(before, scale, format, whole, rng)
        stored.append(LayerFaults(layer.name, index, before, after, layer.part, bits))
    return tuple(stored), by_layer


def _activations(
    format: NumberFormat,
    population: Population,
    drawn: Mapping[Layer, Structures],
    sites: Sites,
    strike: Strike,
    rng: np.random.Generator,
    images: int | None,
) -> tuple[tuple[ActivationFaults, ...], dict[str, int]]:
    """Faults in activations and inputs, and their number by layer where it is known."""
    permanent = {layer: found for layer, found in drawn.items() if layer.part in TRANSIENT_PARTS}
    if not any(map(len, permanent.values())):
        return (), {}
    numbers = {layer: number for number, layer in enumerate(population.layers)}
    of_image = _of_image(population, permanent, sites, rng)
    # A permanent fault counts once, and a transient one in each image.
    known = range((images or 0) if population.transient else 1)
    by_layer = {
        layer.name: sum(len(of_image(image)[layer]) for image in known) for layer in permanent
    }
    if population.transient and images is None:
        struck, by_layer = list(permanent), {}
    else:
        by_layer = {name: number for name, number in by_layer.items() if number}
        struck = [layer for layer in permanent if layer.name in by_layer]
    _refuse_too_many(population, struck, of_image, images)
    return (
        tuple(
            ActivationFaults(
                layer,
                _elements(population, layer, of_image),
                _rule(strike, format, rng, numbers[layer], population.transient),
            )
            for layer in struck
        ),
        by_layer,
    )


def _of_image(
    population: Population,
    permanent: Mapping[Layer, Structures],
    sites: Sites,
    rng: np.random.Generator,
) -> Callable[[int], Mapping[Layer, Structures]]:
    """The structures that are struck in an image, by layer: each image's own, if transient."""
    if not population.transient:
        return lambda image: permanent
    among = population.only(lambda layer: layer.part in TRANSIENT_PARTS)
    count = sum(map(len, permanent.values()))

    @cache
    def of_image(image: int) -> Mapping[Layer, Structures]:
        drawn = sites.draw(among, count, _child(rng, _SITES, image))
        return dict(zip(among.layers, drawn, strict=True))

    return of_image


def _elements(
    population: Population, layer: Layer, of_image: Callable[[int], Mapping[Layer, Structures]]
) -> Callable[[int], NDArray[np.int64]]:
    """Row-major indices of the elements that are struck in an image."""
    if population.transient:
        return lambda image: population.elements(layer, of_image(image)[layer])
    permanent = population.elements(layer, of_image(0)[layer])
    return lambda image: permanent


def _refuse_too_many(
    population: Population,
    struck: Sequence[Layer],
    of_image: Callable[[int], Mapping[Layer, Structures]],
    images: int | None,
) -> None:
    if not images:
        return
    distinct = range(images) if population.transient else range(1)
    elements = sum(
        len(population.elements(layer, of_image(image)[layer]))
        for image in distinct
        for layer in struck
    )
    elements *= images // len(distinct)
    if elements > LARGEST_LIST:
        raise UserError(
            f"these faults are {elements:,} elements of {images:,} images, and each is kept; at "
            f"most {LARGEST_LIST:,} can be: take fewer images (dataset.limit) or smaller structures"
        )


def _rule(
    strike: Strike,
    format: NumberFormat,
    rng: np.random.Generator,
    number: int,
    transient: bool,
) -> Rule:
    """Perturb a layer's output: with the same draws for every image, or with each its own."""

    def rule(
        image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        own = _child(rng, _VALUES, number, *([image] if transient else []))
        return strike(codes, scale, format, output, own)

    return rule


def _child(rng: np.random.Generator, *key: int) -> np.random.Generator:
    """An independent generator for this key, unaffected by draws from the parent."""
    root = rng.bit_generator.seed_seq
    assert isinstance(root, np.random.SeedSequence)
    seeds = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key))
    return np.random.Generator(np.random.PCG64(seeds))
