"""Results of a campaign that never ran: 3 models, 3 rates, 2 perturbations, 10 replicas."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

from resilience.identity import digest
from resilience.results import Result, write_result

IMAGES = 1000
GOLDEN = {"inception_v3": 0.24, "resnet50": 0.16, "vgg19": 0.19}
RATES = (1e-5, 3e-5, 5e-5)
PERTURBATIONS = ("random", "zero")
REPLICAS = 10
GROWTH = {"inception_v3": 900, "resnet50": 1600, "vgg19": 2400}  # error per unit of rate
SPREAD = {"inception_v3": 0.012, "resnet50": 0.02, "vgg19": 0.008}


def make_result(model: str, rate: float, perturb: str, replica: int, wrong: int) -> Result:
    """A result with `wrong` of 1,000 images misclassified, every other figure in keeping."""
    golden = round(GOLDEN[model] * IMAGES)
    changed = abs(wrong - golden)
    trial = {
        "model": model,
        "dataset": "synthetic",
        "sites": "paper",
        "perturb": perturb,
        "frate": rate,
        "replica": replica,
        "seed": 0,
        "precision": "float32",
    }
    parameters = {"low": -1.0, "high": 1.0, "limit": IMAGES}
    return Result(
        trial=trial,
        parameters=parameters,
        fingerprint=digest({"trial": trial, "parameters": parameters}),
        faults={"population": 10**7, "count": round(rate * 10**7), "by_layer": {"conv1": 1}},
        golden={
            "images": IMAGES,
            "top1_error": golden / IMAGES,
            "top5_error": golden / 2 / IMAGES,
            "mean_cross_entropy": 0.9,
        },
        corrupted={
            "images": IMAGES,
            "top1_error": wrong / IMAGES,
            "top5_error": wrong // 2 / IMAGES,
            "mean_cross_entropy": 0.9 + changed / IMAGES,
            "masked_rate": (IMAGES - changed) / IMAGES,
            "sdc_rate": changed / IMAGES,
            "due_rate": 0.0,
        },
        provenance={
            "versions": {"python": "3.11.0", "torch": "2.9.0"},
            "device": "cpu",
            "threads": 1,
            "batch_size": 100,
            "weights_sha256": digest(model),
            "images_sha256": digest(["synthetic", model]),
            "started": "2026-01-01T00:00:00+00:00",
            "seconds": 1.5,
        },
    )


def trial_directory(campaign: Path, result: Result) -> Path:
    """Where a campaign keeps a trial."""
    trial = result.trial
    name = f"replica-{trial['replica']}-{result.fingerprint[:8]}"
    return campaign / trial["model"] / trial["perturb"] / repr(trial["frate"]) / name


def plausible_results(seed: int = 0) -> Iterable[Result]:
    """The 180 trials: errors grow with the rate, faster for `random`, and vary by model."""
    rng = np.random.default_rng(seed)
    for model, rate, perturb, replica in product(GOLDEN, RATES, PERTURBATIONS, range(REPLICAS)):
        growth = GROWTH[model] * rate * (1.5 if perturb == "random" else 1.0)
        error = GOLDEN[model] + growth + SPREAD[model] * rng.standard_gamma(2.0) / 2
        yield make_result(model, rate, perturb, replica, round(float(error) * IMAGES))


def save(directory: Path, results: Iterable[Result]) -> Path:
    """Write results as a campaign directory; gives the directory."""
    for result in results:
        write_result(trial_directory(directory, result), result, "layer,index,before,after\n")
    return directory
