"""Injection and restoration compared with PyTorchFI's rate-based injection.

    python benchmarks/injection.py [--pytorchfi FOLDER] [--output injection.json]

PyTorchFI's `multi_weight_inj` (in its repository since 2023, in no release) draws a random number
in Python for every weight, copies the whole network, and overwrites weights of the copy one by
one. With `--pytorchfi`, a checkout of the repository, that function is measured; otherwise an
equivalent loop (`decide_each` and `corrupted_copy` in plain_script.py).

Ours draws exactly round(rate x N) faults, injects them and restores the network; verifying that
everything is restored (`proof`), which PyTorchFI does not do, is timed separately. `trial` is the
full cost of faults to a trial: drawing, translation to the folded network, injection, restoration
and verification.
"""

import argparse
import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measuring import PAPER_MODELS, options_parser, report
from plain_script import Fault, corrupted_copy, decide_each
from torch import nn

from resilience.faults.fault_plan import fault_count
from resilience.faults.injection import Patch, bit_sums, check_restored, patched
from resilience.faults.memory import Memory
from resilience.faults.perturbations import Zero
from resilience.faults.population import Paper, Population, Sites, Uniform, find_layers
from resilience.faults.sampling import sample
from resilience.inference.engine import Engine
from resilience.networks.models import torchvision_network

SITES: dict[str, Sites] = {"paper": Paper(), "uniform": Uniform()}
Baseline = Callable[[nn.Module, Population, float], nn.Module]

SIDE = 96
"""Side of the images, pixels; any value will do."""

STEPS = ("draw", "strike", "restore", "proof", "trial")


def our_seconds(
    engine: Engine,
    network: nn.Module,
    population: Population,
    sites: Sites,
    rate: float,
    seed: int,
) -> dict[str, float]:
    """Seconds of each step of one trial's injection."""
    count, rng = fault_count(rate, population), np.random.default_rng(seed)
    clocks = [perf_counter()]
    faults = sample(Memory(population), population, count, sites, Zero(), rng).stored
    patches = [Patch(each.layer, each.index, each.before, each.after) for each in faults]
    clocks.append(perf_counter())
    sums = bit_sums(network, patches)
    clocks.append(perf_counter())
    with patched(network, patches):
        clocks.append(perf_counter())
    clocks.append(perf_counter())
    check_restored(network, patches, sums)
    clocks.append(perf_counter())
    with engine.corrupted(faults):
        pass
    clocks.append(perf_counter())
    draw, before, strike, restore, after, engines = np.diff(clocks).tolist()
    proof = before + after
    return dict(zip(STEPS, (draw, strike, restore, proof, draw + engines), strict=True))


def loop(network: nn.Module, population: Population, rate: float) -> nn.Module:
    """A corrupted copy, made as PyTorchFI makes it."""
    struck = decide_each(network, [layer.name for layer in population.layers], rate)
    return corrupted_copy(network, [Fault(layer, index, 0.0) for layer, index in struck])


def pytorchfi(network: nn.Module, population: Population, rate: float) -> nn.Module:
    """A corrupted copy, made by PyTorchFI itself."""
    from pytorchfi.core import FaultInjection  # type: ignore[import-not-found]
    from pytorchfi.weight_error_models import multi_weight_inj  # type: ignore[import-not-found]

    kinds = {type(network.get_submodule(layer.name)) for layer in population.layers}
    injector = FaultInjection(network, 1, [3, SIDE, SIDE], list(kinds))
    corrupted: nn.Module = multi_weight_inj(injector, rate)
    return corrupted


def baseline_seconds(
    baseline: Baseline, network: nn.Module, population: Population, rate: float
) -> float:
    """Seconds to make one corrupted copy."""
    started = perf_counter()
    baseline(network, population, rate)
    return perf_counter() - started


def rows(options: argparse.Namespace, baseline: Baseline) -> Iterator[dict[str, Any]]:
    """One row per model and choice of sites."""
    for model in options.models:
        torch.manual_seed(0)
        network = torchvision_network(model, 1000).eval().requires_grad_(False)
        example = torch.zeros(1, 3, SIDE, SIDE)
        network.to(memory_format=torch.channels_last)
        engine = Engine(network, example)
        found = find_layers(network, example)
        for name in options.sites:
            population = SITES[name].population(found)
            contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
            ours, theirs = [], []
            for number in range(options.rounds):
                theirs.append(baseline_seconds(baseline, contiguous, population, options.rate))
                ours += [
                    our_seconds(engine, network, population, SITES[name], options.rate, seed)
                    for seed in range(number * options.repeats, (number + 1) * options.repeats)
                ]
            typical = {step: median(seconds[step] for seconds in ours) for step in STEPS}
            injection = sum(typical[step] for step in ("draw", "strike", "restore"))
            yield {
                "model": model,
                "sites": name,
                "weights": population.size,
                "faults": fault_count(options.rate, population),
                "baseline_s": median(theirs),
                **{f"{step}_ms": 1000 * seconds for step, seconds in typical.items()},
                "ratio": median(theirs) / injection,
                "trial_ratio": median(theirs) / typical["trial"],
            }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=PAPER_MODELS)
    parser.add_argument("--sites", nargs="+", choices=list(SITES), default=list(SITES))
    parser.add_argument("--rate", type=float, default=1e-5)
    parser.add_argument("--rounds", type=int, default=3, help="of the two in turns; medians count")
    parser.add_argument("--repeats", type=int, default=10, help="of ours in a round")
    parser.add_argument("--pytorchfi", type=Path, help="a checkout of pytorchfi/pytorchfi")
    options = parser.parse_args()
    baseline = loop
    if options.pytorchfi:
        sys.path.insert(0, str(options.pytorchfi))
        baseline = pytorchfi
    print(f"baseline: {baseline.__name__}")
    report(options, rows(options, baseline))


if __name__ == "__main__":
    main()
