"""One fault in each layer in turn, with and without reuse of the golden run before it.

    python benchmarks/layers.py [--imagenet FOLDER --weights FOLDER] [--output layers.json]

As in a study of layers: one corrupted run over all images for each, in the network's order. The
two variants take turns layer by layer, so that a noisy machine slows both, on the same faults, and
must produce the same bits. The time with reuse includes all its costs: measuring where to cut, and
keeping the golden activations. `limit` is the ratio that unlimited, free cuts could reach, by the
floating-point operations before each layer; `--memory` bounds what is kept.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measuring import (
    add_image_options,
    composed,
    image_overrides,
    options_parser,
    report,
    write_images,
)
from torch.utils.flop_counter import FlopCounterMode

from resilience.faults.perturbations import Random
from resilience.faults.population import Population, Uniform
from resilience.faults.sampling import sample
from resilience.trials.workload import Workload
from resilience.trials.workloads import make_workload


def limit(workload: Workload, every: int) -> float:
    """Cost of runs from the input over that of runs from each faulty layer, in layer operations."""
    network = workload.network
    with FlopCounterMode(display=False) as counter:
        network(workload.samples.example())
    counts = counter.get_flop_counts()
    name = type(network).__name__
    layers = Uniform().population(workload.population)
    each = np.array([sum(counts[f"{name}.{layer.name}"].values()) for layer in layers])
    from_each = np.cumsum(each[::-1])[::-1]
    return float(each.sum() / from_each[::every].mean())


def rows(options: argparse.Namespace, images: Path) -> Iterator[dict[str, Any]]:
    """One row per model."""
    for model in options.models:
        trial = composed(
            [
                *image_overrides(options, model, images),
                f"dataset.limit={options.images}",
                f"prefix_memory={options.memory}",
                "device=cpu",
            ]
        )
        reusing = make_workload(trial.model, trial.dataset, trial.settings)
        settings = replace(
            trial.settings,
            batch_size=reusing.batch_size,
            threads=reusing.threads,
            prefix_memory=0,
        )
        full = make_workload(trial.model, trial.dataset, settings)
        layers = Uniform().population(reusing.population).layers[:: options.every]
        seconds = {"full": 0.0, "reusing": 0.0}
        for layer in layers:
            faults = sample(
                full.memory,
                Population((layer,)),
                1,
                Uniform(),
                Random(),
                np.random.default_rng(0),
            )
            outputs = []
            for name, workload in (("full", full), ("reusing", reusing)):
                started = perf_counter()
                outputs.append(workload.corrupted(faults))
                seconds[name] += perf_counter() - started
            assert torch.equal(*outputs), f"reuse changes what a fault in {layer.name} does"
        yield {
            "model": model,
            "layers": len(layers),
            "images": options.images,
            "prefix_gib": options.memory,
            "full_s": seconds["full"],
            "reusing_s": seconds["reusing"],
            "ratio": seconds["full"] / seconds["reusing"],
            "limit": limit(full, options.every),
        }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=["vgg19", "resnet50"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--memory", type=float, default=1.0, help="for golden activations, GiB")
    parser.add_argument("--every", type=int, default=1, help="strike every so many-th layer only")
    add_image_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESILIENCE_CACHE"] = str(Path(folder) / "cache")
        if not options.imagenet:
            write_images(Path(folder) / "images", options.images, options.side)
        report(options, rows(options, Path(folder) / "images"))


if __name__ == "__main__":
    main()
