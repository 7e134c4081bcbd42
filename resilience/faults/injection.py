"""Injecting faults: striking a network's tensors and activations, and undoing it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resilience.faults.activations import ActivationMemory
from resilience.faults.draw import Draw
from resilience.faults.memory import held, raw_bits, values_at
from resilience.faults.population.layers import TRANSIENT_PARTS, layer_tensors
from resilience.faults.population.tracing import undisturbed
from resilience.system.errors import UserError


class RestorationError(RuntimeError):
    """A network's weights differ from what they were before the faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What is written into one tensor to make a draw real, and what takes it back.

    Attributes
    ----------
    tensor
        Its layer name.
    index
        Row-major indices in its logical shape, shape (elements,).
    before, after
        Values of the tensor's own type, on the CPU, shape (elements,).
    """

    tensor: str
    index: Tensor
    before: Tensor
    after: Tensor


@contextmanager
def injected(network: nn.Module, draw: Draw) -> Iterator[None]:
    """Compute with faults for the length of a block, then restore the network.

    The network computes from memory in the draw's format, struck by all its faults: those in
    weights, biases and normalisations at once, those in activations and inputs as images pass
    through. However the block ends, everything is then what it was, bit for bit: tensors, modes,
    hooks, flags and torch's random state. With faults in activations, attention is computed without
    torch's fast path, which differs in the last digits.

    Parameters
    ----------
    network
        The one that the faults were drawn for, or a copy of it; on any device.
    draw
        From `draw_faults` or `read_faults`. Faults that are drawn anew for each image take images
        in the order in which they pass through the network within the block.

    Raises
    ------
    UserError
        If the network lacks a layer that is struck.

    Examples
    --------
    >>> import torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> population = rs.find_layers(network, torch.zeros(1, 4))
    >>> faults = rs.draw_faults(population, count=9, perturb=rs.perturbations.Zero())
    >>> with rs.injected(network, faults):
    ...     zeros = int((network[0].weight == 0).sum() + (network[2].weight == 0).sum())
    >>> zeros, int((network[0].weight == 0).sum())
    (9, 0)
    """
    refuse_other_network(network, draw)
    with undisturbed(network), held(network, draw.population, draw.format) as memory:
        patches = []
        tensors = layer_tensors(network)
        for faults in draw.stored:
            tensor = tensors[faults.layer].detach()
            after = memory.values(faults.layer, faults.index, faults.after).to(tensor.dtype)
            patches.append(
                Patch(faults.layer, faults.index, values_at(tensor, faults.index), after)
            )
        with patched(network, patches), _struck_activations(network, draw):
            yield


def refuse_other_network(network: nn.Module, draw: Draw) -> None:
    """Raise an error if these faults do not fit a network.

    Raises
    ------
    UserError
        If it lacks a layer among which the faults were drawn, or has it in another shape.
    """
    tensors = layer_tensors(network)
    for layer in draw.exposed:
        if layer.part == "inputs":
            continue
        name = layer.owner if layer.part == "activations" else layer.name
        if name not in tensors:
            raise UserError(f"this network has no layer {name}, which the faults strike")
        shape = tuple(tensors[name].shape)
        if layer.part != "activations" and shape != layer.shape:
            raise UserError(
                f"{layer.name} of this network has shape {shape}, not {layer.shape} as in the "
                "network that the faults were drawn for"
            )


@contextmanager
def _struck_activations(network: nn.Module, draw: Draw) -> Iterator[None]:
    """Round activations and inputs into the draw's format, and strike them."""
    passing = [layer for layer in draw.exposed if layer.part in TRANSIENT_PARTS]
    if not passing:
        yield
        return
    tensors = layer_tensors(network)
    owners = {layer.owner for layer in passing if layer.part == "activations"}
    names = {id(tensors[owner]): owner for owner in owners}
    memory = ActivationMemory(passing, names, draw.format, draw.activations)

    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args and isinstance(args[0], Tensor):
            memory.begin_batch(len(args[0]))
            return (memory.input(args[0]), *args[1:]), kwargs
        name = next((n for n, value in kwargs.items() if isinstance(value, Tensor)), None)
        if name is None:
            raise UserError("faults in activations need a network whose input is a tensor")
        memory.begin_batch(len(kwargs[name]))
        return args, {**kwargs, name: memory.input(kwargs[name])}

    hook = network.register_forward_pre_hook(begin, with_kwargs=True)
    try:
        with memory:
            yield
    finally:
        hook.remove()
        draw.observe(memory.observed())


@contextmanager
def patched(network: nn.Module, patches: Sequence[Patch]) -> Iterator[None]:
    """Write patches into a network for the length of a block, then take them back.

    Values are restored however the block ends, an exception or Ctrl-C included. Only struck
    elements are touched; the layout of the tensors in memory does not matter.
    """
    tensors = layer_tensors(network)
    try:
        for patch in patches:
            _scatter(tensors[patch.tensor], patch.index, patch.after)
        yield
    finally:
        for patch in patches:
            _scatter(tensors[patch.tensor], patch.index, patch.before)


def bit_sums(network: nn.Module, patches: Sequence[Patch]) -> dict[str, int]:
    """Sum over the raw bits, read as integers, of every patched tensor, by layer name.

    The sum wraps at the integers' own width, which is twenty times as fast as a wider one and
    notices every change of a single element all the same.
    """
    tensors = layer_tensors(network)
    bits = {patch.tensor: raw_bits(tensors[patch.tensor].detach()) for patch in patches}
    return {name: int(values.sum(dtype=values.dtype)) for name, values in bits.items()}


def check_restored(network: nn.Module, patches: Sequence[Patch], sums: Mapping[str, int]) -> None:
    """Verify that the network's tensors are those from before the faults, bit for bit.

    Parameters
    ----------
    sums
        What `bit_sums` gave before the faults.

    Raises
    ------
    RestorationError
        If a struck element differs in any bit, or a patched tensor in its sum.
    """
    tensors = layer_tensors(network)
    for patch in patches:
        now = values_at(tensors[patch.tensor].detach(), patch.index)
        if not torch.equal(raw_bits(now), raw_bits(patch.before)):
            raise RestorationError(f"struck weights of {patch.tensor} were not restored")
    for name, total in bit_sums(network, patches).items():
        if total != sums[name]:
            raise RestorationError(f"weights of {name} changed that no fault struck")


@torch.no_grad()
def _scatter(tensor: Tensor, index: Tensor, values: Tensor) -> None:
    # Indexing by coordinates is right in every memory layout; `view(-1)` is not.
    tensor[torch.unravel_index(index.to(tensor.device), tensor.shape)] = values.to(tensor.device)
