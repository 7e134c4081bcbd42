"""Forward passes as a share of the machine's matrix-product peak, measured in the same run.

    python benchmarks/forward.py [--precisions float32 bfloat16] [--output forward.json]

The peak is the best of several 2048 x 2048 x 2048 products in the same precision, interleaved
with the forward passes, as shared machines are noisy. A share may exceed 1: convolutions can run
faster than that product. Floating-point operations are counted by torch.utils.flop_counter,
without those of normalisation and activations.

Variants: `contiguous` is PyTorch's usual layout at batch 32; the others are the program's engine:
channels-last (`optimise=false`), with batch normalisation folded (the default), and also compiled
(`compile=true`).
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from measuring import PAPER_MODELS, options_parser, report
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resilience.inference.allocator import keep_freed_memory
from resilience.inference.engine import Engine
from resilience.networks.models import torchvision_network

SIDE = 2048
VARIANTS = ("contiguous", "channels_last", "folded", "compiled")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
IMAGE_SIDES = {"inception_v3": 299}

Forward = Callable[[Tensor], Tensor]


def variant(plain: nn.Module, example: Tensor, name: str, precision: str) -> Forward:
    """The forward pass of a variant: by the program's own engine, or PyTorch's usual way."""
    if name == "contiguous":
        return copy.deepcopy(plain).to(PRECISIONS[precision])
    network = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    optimise, compiled = name != "channels_last", name == "compiled"
    return Engine(network, example, precision, optimise, compiled).run


def seconds(work: Callable[[], Any]) -> float:
    """Duration of a call."""
    started = perf_counter()
    work()
    return perf_counter() - started


def product_seconds(precision: torch.dtype) -> float:
    """Fastest of three products of two random matrices."""
    left, right = torch.randn(2, SIDE, SIDE).to(precision)
    return min(seconds(lambda: left @ right) for _ in range(3))


def passes(
    plain: nn.Module, side: int, precision: str, batch_sizes: list[int]
) -> Iterator[tuple[str, int, Callable[[], Tensor]]]:
    """Every variant at every batch size: its name, the batch size, and a forward pass."""
    example = torch.randn(1, 3, side, side)
    for name in VARIANTS:
        run = variant(plain, example, name, precision)
        layout = torch.contiguous_format if name == "contiguous" else torch.channels_last
        for batch_size in [32] if name == "contiguous" else batch_sizes:
            images = torch.randn(batch_size, 3, side, side).to(PRECISIONS[precision])
            yield name, batch_size, partial(run, images.contiguous(memory_format=layout))


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per model, precision, variant and batch size."""
    for model in options.models:
        torch.manual_seed(0)
        plain = torchvision_network(model, 1000).eval().requires_grad_(False)
        side = IMAGE_SIDES.get(model, 224)
        with FlopCounterMode(display=False) as counter:
            plain(torch.zeros(1, 3, side, side))
        gflop = counter.get_total_flops() / 1e9
        for precision in options.precisions:
            yield from _rows(options, model, precision, gflop, plain, side)


@torch.inference_mode()
def _rows(
    options: argparse.Namespace,
    model: str,
    precision: str,
    gflop: float,
    plain: nn.Module,
    side: int,
) -> Iterator[dict[str, Any]]:
    ways = list(passes(plain, side, precision, options.batch_sizes))
    for _, _, forward in ways:
        forward()  # compiles, and reorders weights for the processor
    peaks: list[float] = []
    rates: dict[tuple[str, int], list[float]] = {way[:2]: [] for way in ways}
    shares: dict[tuple[str, int], list[float]] = {way[:2]: [] for way in ways}
    for _ in range(options.rounds):
        for name, batch_size, forward in ways:
            peaks.append(2 * SIDE**3 / 1e9 / product_seconds(PRECISIONS[precision]))
            rates[name, batch_size].append(gflop * batch_size / seconds(forward))
            shares[name, batch_size].append(rates[name, batch_size][-1] / peaks[-1])
    for (name, batch_size), measured in rates.items():
        yield {
            "model": model,
            "precision": precision,
            "variant": name,
            "batch_size": batch_size,
            "gflop_per_image": gflop,
            "gflop_per_s": max(measured),
            "peak_gflop_per_s": max(peaks),
            "share": max(measured) / max(peaks),
            "median_share": median(shares[name, batch_size]),
        }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=PAPER_MODELS)
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=["float32"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--rounds", type=int, default=5, help="of all variants in turns")
    options = parser.parse_args()
    keep_freed_memory()  # as a campaign does
    report(options, rows(options))


if __name__ == "__main__":
    main()
