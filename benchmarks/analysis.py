"""Time and peak memory of reading and analysing a generated campaign.

    python benchmarks/analysis.py [--trials 20000] [--output analysis-benchmark.json]

The campaign is written first, so its files are in the page cache when they are read.
"""

import argparse
import json
import resource
import tempfile
import time
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np

from resilience.analysis import analyse
from resilience.analysis.read.table import read_campaigns
from resilience.results.record import Result, write_result
from resilience.system.hashing import digest

MODELS = {"vgg19": 0.19, "resnet50": 0.16, "inception_v3": 0.24}
RATES = (1e-5, 3e-5, 5e-5)
PERTURBATIONS = ("zero", "random")
IMAGES = 1000


def generated(model: str, rate: float, perturb: str, replica: int, wrong: int) -> Result:
    """A made-up result, with `wrong` of the images misclassified."""
    golden = {"images": IMAGES, "top1_error": MODELS[model], "top5_error": 0.04}
    factors = {"model": model, "dataset": "none", "sites": "paper", "perturb": perturb}
    factors |= {"frate": rate, "replica": replica, "seed": 0, "precision": "float32"}
    corrupted = {"images": IMAGES, "top1_error": wrong / IMAGES, "top5_error": 0.05}
    rates = {"masked_rate": 0.9, "sdc_rate": 0.1, "due_rate": 0.0}
    return Result(
        trial=factors,
        parameters={},
        fingerprint=digest(factors),
        faults={"population": 10**7, "count": round(rate * 10**7), "by_layer": {}},
        golden={**golden, "mean_cross_entropy": 0.7},
        corrupted={**corrupted, "mean_cross_entropy": 0.8, **rates},
        provenance={"weights_sha256": digest(model), "images_sha256": digest("none")},
    )


def write_campaign(directory: Path, trials: int) -> int:
    """Write about `trials` results, spread evenly over the cells; return how many."""
    rng = np.random.default_rng(0)
    cells = list(product(MODELS, RATES, PERTURBATIONS))
    replicas = trials // len(cells)
    with mock.patch("os.fsync"):  # nothing here needs to survive a crash
        for number, (model, rate, perturb) in enumerate(cells):
            chance = MODELS[model] + 2000 * rate * (1 + (perturb == "random"))
            for replica, wrong in enumerate(rng.binomial(IMAGES, chance, replicas).tolist()):
                result = generated(model, rate, perturb, replica, wrong)
                write_result(directory / f"{number}-{replica}", result, "layer,index\n")
    return replicas * len(cells)


def main() -> None:
    """Print a table, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        written = write_campaign(Path(folder), options.trials)
        started = time.perf_counter()
        observations = read_campaigns([Path(folder)])
        read = time.perf_counter()
        analyse(observations)
        analysed = time.perf_counter()
    figures = {
        "trials": written,
        "read_seconds": round(read - started, 1),
        "analyse_seconds": round(analysed - read, 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    for name, figure in figures.items():
        print(f"{name:20} {figure:>10}")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
