"""The batch size at which a network is fastest on this machine, within a bounded memory."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resilience.cache import DamagedCacheError, made_once
from resilience.identity import digest

log = logging.getLogger(__name__)

_ACTIVATIONS = 3
"""Largest activations that are in memory at once: what goes in, what comes out, and scratch."""

_WORKING_MEMORY = 2**29
"""Bytes for them on a CPU."""

_LARGEST = {"cpu": 256, "cuda": 1024, "mps": 256}
_SECONDS = 2.0
"""A batch that takes longer is the last one tried."""


def measured_batch_size(network: nn.Module, example: Tensor) -> int:
    """The smallest power of two within 3 % of the most images per second.

    Parameters
    ----------
    example
        An input of the network, shape (1, channels, height, width).
    """
    limit = _largest_in_memory(network, example)
    seconds: dict[int, float] = {}
    size = 1
    while size <= limit:
        batch = example.repeat(size, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        took = _best_time(network, batch)
        seconds[size] = took / size
        if took > _SECONDS:
            break
        size *= 2
    fastest = min(seconds.values())
    return next(size for size, each in seconds.items() if each <= 1.03 * fastest)


def measured_threads(network: nn.Module, batch: Tensor) -> int:
    """All threads that torch would use, or half of them where that is faster by a tenth.

    It is, where two threads share the units of one core.
    """
    available = torch.get_num_threads()
    all_of_them = _best_time(network, batch)
    try:
        torch.set_num_threads(max(1, available // 2))
        half_of_them = _best_time(network, batch)
    finally:
        torch.set_num_threads(available)
    return available if all_of_them < 1.1 * half_of_them else max(1, available // 2)


def kept_number(key: Mapping[str, Any], measure: Callable[[], int], directory: Path) -> int:
    """The number that was measured before for this key, or else is now.

    Parameters
    ----------
    key
        All that it may depend on; says in the file what the number is.
    directory
        Keeps it.
    """

    def make(path: Path) -> None:
        path.write_text(json.dumps({**key, "number": measure()}, indent=2) + "\n")

    def load(path: Path) -> int:
        try:
            return int(json.loads(path.read_bytes())["number"])
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedCacheError(str(error)) from error

    return made_once(directory / f"{digest(key)[:16]}.json", make, load)


@torch.inference_mode()
def _best_time(network: nn.Module, batch: Tensor) -> float:
    """Seconds of the fastest of a few forward passes, after one that warms up."""
    taken: list[float] = []
    network(batch)
    while len(taken) < 2 or (len(taken) < 10 and sum(taken) < 0.1):
        clock = time.perf_counter()
        network(batch)
        if batch.is_cuda:
            torch.cuda.synchronize(batch.device)
        taken.append(time.perf_counter() - clock)
    return min(taken)


@torch.inference_mode()
def _largest_in_memory(network: nn.Module, example: Tensor) -> int:
    """Images in the largest batch that is tried on the example's device."""
    largest = example.numel()

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel())

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        network(example)
    finally:
        for hook in hooks:
            hook.remove()
    device = example.device
    memory = torch.cuda.mem_get_info(device)[0] // 4 if example.is_cuda else _WORKING_MEMORY
    in_memory = memory // (_ACTIVATIONS * largest * example.element_size())
    return max(1, min(in_memory, _LARGEST[device.type]))
