"""Results of campaigns that never ran: by rate, and of single faults by layer and bit."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from resilience.results.record import Result, write_result
from resilience.system.hashing import digest

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


def make_draw(
    number: int, layer: str | None, bit: int | None, harm: float, faults: int = 1
) -> dict[str, object]:
    """A draw that silently changes a fraction of the images, half of it from right to wrong."""
    changed = round(harm * IMAGES)
    return {
        "draw": number,
        "layer": layer,
        "bit": bit,
        "faults": faults,
        "images": IMAGES,
        "top1_error": 0.2 + changed // 2 / IMAGES,
        "top5_error": 0.1,
        "mean_cross_entropy": 0.9,
        "masked_rate": (IMAGES - changed) / IMAGES,
        "sdc_rate": changed / IMAGES,
        "due_rate": 0.0,
        "sdc5_rate": changed // 4 / IMAGES,
        "sdc10pct_rate": changed / IMAGES,
        "sdc20pct_rate": changed // 2 / IMAGES,
        "changed_correct": changed // 2,
    }


def of_draws(
    draws: Sequence[dict[str, object]],
    model: str = "vgg19",
    perturb: str = "bitflip",
    replica: int = 0,
    number_format: str = "float32",
    count: int = 1,
) -> Result:
    """A trial with an exact number of faults and several draws, its figures their means."""
    plain = make_result(model, 1e-5, perturb, replica, 200)
    settings = {"optimise": True, "compile": False}
    if number_format != "float32":
        settings["format"] = number_format
    means = {
        name: float(np.mean([draw[name] for draw in draws]))
        for name in draws[0]
        if name not in ("draw", "layer", "bit", "faults", "images")
    }
    struck = dict(Counter(draw["layer"] for draw in draws if draw["layer"]))
    trial = {**plain.trial, "frate": None}
    parameters = {"faults": {"count": count}, "settings": settings}
    return replace(
        plain,
        trial=trial,
        parameters=parameters,
        fingerprint=digest({"trial": trial, "parameters": parameters}),
        faults={"population": 10**7, "count": count, "by_layer": struck},
        corrupted={"images": IMAGES, **means},
        draws=draws,
    )


def layers_and_bits(
    layers: Sequence[str],
    bits: Sequence[int],
    each: int,
    replicas: int = 2,
    seed: int = 0,
    **trial: str,
) -> Iterable[Result]:
    """Trials of single faults, so many in each bit of each layer: high exponent bits do harm.

    Of the layers the first are hit worst, and one draw differs from another.
    """
    rng = np.random.default_rng(seed)
    for replica in range(replicas):
        draws = []
        for place, layer in enumerate(layers):
            for bit in bits:
                for _ in range(each):
                    weight = 0.9 * np.exp(-(30 - bit)) if bit < 31 else 0.003
                    weight /= 1 + 5 * place / len(layers)
                    harm = float(weight * rng.beta(0.5, 1.0)) * float(rng.random() < 0.6)
                    draws.append(make_draw(len(draws), layer, bit, min(harm, 1.0)))
        yield of_draws(draws, replica=replica, **trial)


def trial_directory(campaign: Path, result: Result) -> Path:
    """Where a campaign keeps a trial."""
    trial = result.trial
    name = f"replica-{trial['replica']}-{result.fingerprint[:8]}"
    rate = trial["frate"]
    level = f"faults-{result.faults['count']}" if rate is None else repr(rate)
    return campaign / trial["model"] / trial["perturb"] / level / name


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
