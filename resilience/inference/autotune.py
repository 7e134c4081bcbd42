"""The batch size at which a network is fastest on this machine, within bounded memory."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resilience.system.cache import DamagedCacheError, made_once
from resilience.system.hashing import identity_digest

AVAILABLE_THREADS = torch.get_num_threads()
"""Torch's default number of threads, before any network's settings change it."""

_ACTIVATIONS = 3
"""Number of largest activations in memory at once: input, output and scratch."""

_WORKING_MEMORY = 2**29
"""Bytes available for them on a CPU."""

_LARGEST = {"cpu": 256, "cuda": 1024, "mps": 256}
_SMALLEST = 4
_SECONDS = 0.2
"""Total duration of repeated short passes, whose single timings are too noisy."""


def measured_batch_size(network: nn.Module, example: Tensor) -> int:
    """The smallest power of two, at least 4, for which doubling saves under 3 % of time per image.

    Parameters
    ----------
    example
        A network input, shape (1, channels, height, width).
    """
    limit = _largest_in_memory(network, example)
    size = min(_SMALLEST, limit)
    each = _time_an_image(network, example, size)
    while 2 * size <= limit:
        each_of_double = _time_an_image(network, example, 2 * size)
        if each_of_double > 0.97 * each:
            break
        size, each = 2 * size, each_of_double
    return size


def measured_threads(network: nn.Module, example: Tensor) -> int:
    """All threads that torch would use, or half of them if that is faster by a tenth.

    That is the case where two threads share the execution units of one core.
    """
    available = torch.get_num_threads()
    half = max(1, available // 2)
    with_all = _time_an_image(network, example, _SMALLEST)
    try:
        torch.set_num_threads(half)
        with_half = _time_an_image(network, example, _SMALLEST)
    finally:
        torch.set_num_threads(available)
    return available if with_all < 1.1 * with_half else half


def kept_number(key: Mapping[str, Any], measure: Callable[[], int], directory: Path) -> int:
    """The number measured earlier for this key, or else measured now.

    Parameters
    ----------
    key
        Everything that it may depend on; the file repeats it beside the number.
    directory
        Where the number is kept.
    """

    def make(path: Path) -> None:
        path.write_text(json.dumps({**key, "number": measure()}, indent=2) + "\n")

    def load(path: Path) -> int:
        try:
            return int(json.loads(path.read_bytes())["number"])
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedCacheError(str(error)) from error

    return made_once(directory / f"{identity_digest(key)[:16]}.json", make, load)


@torch.inference_mode()
def _time_an_image(network: nn.Module, example: Tensor, images: int) -> float:
    """Seconds per image, in the fastest of a few forward passes after a warm-up."""
    batch = example.repeat(images, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    taken: list[float] = []
    network(batch)
    while not taken or (len(taken) < 10 and sum(taken) < _SECONDS):
        clock = time.perf_counter()
        network(batch)
        if batch.is_cuda:
            torch.cuda.synchronize(batch.device)
        taken.append(time.perf_counter() - clock)
    return min(taken) / images


@torch.inference_mode()
def _largest_in_memory(network: nn.Module, example: Tensor) -> int:
    """Size of the largest batch to try on the example's device."""
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
