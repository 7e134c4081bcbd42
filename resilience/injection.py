"""Faults: drawing them, striking a network with them, and taking them back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resilience.layers import layer_weights
from resilience.perturbations import Perturbation
from resilience.sites import Population, Sites

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class RestorationError(RuntimeError):
    """A network's weights are not what they were before the faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """The faults of one layer.

    Attributes
    ----------
    layer
        Name of the layer.
    index
        Row-major indices in the logical shape of the layer's weights, distinct, shape (faults,).
    before, after
        The values there before and after, of the weights' type, on the CPU, shape (faults,).
    """

    layer: str
    index: Tensor
    before: Tensor
    after: Tensor


def raw_bits(values: Tensor) -> Tensor:
    """The same memory as integers of the same width, same shape."""
    return values.view(_BITS[values.element_size()])


def draw_faults(
    network: nn.Module,
    population: Population,
    count: int,
    sites: Sites,
    perturb: Perturbation,
    rng: np.random.Generator,
) -> tuple[Faults, ...]:
    """Draw exactly `count` faults on distinct sites, by layer; struck layers only.

    Raises
    ------
    ValueError
        If the perturbation does not give one value for each fault.
    """
    weights = layer_weights(network)
    faults = []
    for layer, indices in zip(population.layers, sites.draw(population, count, rng), strict=True):
        if not len(indices):
            continue
        weight = weights[layer.name].detach()
        index = torch.from_numpy(indices)
        before = values_at(weight, index)
        after = perturb(before.clone(), weight, rng)
        if after.shape != before.shape:
            raise ValueError(
                f"the perturbation gave values of shape {tuple(after.shape)} "
                f"for {len(indices)} faults"
            )
        faults.append(Faults(layer.name, index, before, after.to(before)))
    return tuple(faults)


@contextmanager
def injected(network: nn.Module, faults: Sequence[Faults]) -> Iterator[None]:
    """Strike the network for the length of a block, then put every value back.

    Weights are restored however the block ends, an exception or Ctrl-C included. Only struck
    elements are touched; the layout of the weights in memory does not matter.
    """
    weights = layer_weights(network)
    try:
        for fault in faults:
            _scatter(weights[fault.layer], fault.index, fault.after)
        yield
    finally:
        for fault in faults:
            _scatter(weights[fault.layer], fault.index, fault.before)


def bit_sums(network: nn.Module, faults: Sequence[Faults]) -> dict[str, int]:
    """Sum over the raw bits, read as integers, of every struck weight tensor, by layer.

    The sum wraps at the integers' own width, which is twenty times as fast as a wider one and
    notices every change of a single element all the same.
    """
    weights = layer_weights(network)
    bits = {fault.layer: raw_bits(weights[fault.layer].detach()) for fault in faults}
    return {layer: int(values.sum(dtype=values.dtype)) for layer, values in bits.items()}


def check_restored(network: nn.Module, faults: Sequence[Faults], sums: Mapping[str, int]) -> None:
    """Prove that the network's weights are those from before the faults, bit for bit.

    Parameters
    ----------
    sums
        What `bit_sums` gave before the faults.

    Raises
    ------
    RestorationError
        If a struck element differs in any bit, or a struck tensor in its sum.
    """
    weights = layer_weights(network)
    for fault in faults:
        now = values_at(weights[fault.layer].detach(), fault.index)
        if not torch.equal(raw_bits(now), raw_bits(fault.before)):
            raise RestorationError(f"struck weights of {fault.layer} were not restored")
    for layer, total in bit_sums(network, faults).items():
        if total != sums[layer]:
            raise RestorationError(f"weights of {layer} changed that no fault struck")


def values_at(weight: Tensor, index: Tensor) -> Tensor:
    """A tensor's values at row-major indices, on the CPU, shape (faults,)."""
    return weight[torch.unravel_index(index.to(weight.device), weight.shape)].cpu()


@torch.no_grad()
def _scatter(weight: Tensor, index: Tensor, values: Tensor) -> None:
    # Indexing by coordinates is right in every memory layout; `view(-1)` is not.
    weight[torch.unravel_index(index.to(weight.device), weight.shape)] = values.to(weight.device)
