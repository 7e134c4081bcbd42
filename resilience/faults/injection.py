"""Faults in a network's tensors: striking it with them, and taking them back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resilience.faults.formats import raw_bits
from resilience.faults.layers import Part, layer_tensors
from resilience.faults.memory import values_at


class RestorationError(RuntimeError):
    """A network's weights are not what they were before the faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """The faults of one layer, element by element.

    Attributes
    ----------
    layer
        Its name.
    index
        Row-major indices in its logical shape, shape (elements,).
    before, after
        What the memory holds there before and after, on the CPU, shape (elements,).
    part
        What of the network the layer is.
    bits
        The bits that were struck, as a mask, int64, shape (elements,); None where whole values
        were.
    image
        Position of the image in whose activations or input a fault is, shape (elements,); None
        for what the memory keeps.
    """

    layer: str
    index: Tensor
    before: Tensor
    after: Tensor
    part: Part = "weights"
    bits: Tensor | None = None
    image: Tensor | None = None


@contextmanager
def injected(network: nn.Module, faults: Sequence[Faults]) -> Iterator[None]:
    """Strike the network for the length of a block, then put every value back.

    Weights are restored however the block ends, an exception or Ctrl-C included. Only struck
    elements are touched; the layout of the weights in memory does not matter.
    """
    tensors = layer_tensors(network)
    try:
        for fault in faults:
            _scatter(tensors[fault.layer], fault.index, fault.after)
        yield
    finally:
        for fault in faults:
            _scatter(tensors[fault.layer], fault.index, fault.before)


def bit_sums(network: nn.Module, faults: Sequence[Faults]) -> dict[str, int]:
    """Sum over the raw bits, read as integers, of every struck weight tensor, by layer.

    The sum wraps at the integers' own width, which is twenty times as fast as a wider one and
    notices every change of a single element all the same.
    """
    tensors = layer_tensors(network)
    bits = {fault.layer: raw_bits(tensors[fault.layer].detach()) for fault in faults}
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
    tensors = layer_tensors(network)
    for fault in faults:
        now = values_at(tensors[fault.layer].detach(), fault.index)
        if not torch.equal(raw_bits(now), raw_bits(fault.before)):
            raise RestorationError(f"struck weights of {fault.layer} were not restored")
    for layer, total in bit_sums(network, faults).items():
        if total != sums[layer]:
            raise RestorationError(f"weights of {layer} changed that no fault struck")


@torch.no_grad()
def _scatter(tensor: Tensor, index: Tensor, values: Tensor) -> None:
    # Indexing by coordinates is right in every memory layout; `view(-1)` is not.
    tensor[torch.unravel_index(index.to(tensor.device), tensor.shape)] = values.to(tensor.device)
