"""A whole campaign against the plain script that a researcher would write (plain_script.py).

    python benchmarks/campaign_vs_script.py --imagenet FOLDER --weights FOLDER [--output FILE]
    python benchmarks/campaign_vs_script.py --models resnet18      (the default dataset)

Without `--imagenet` the dataset is the program's default, handwritten digits, with networks
fitted to it before anything is timed. Weights are fresh where `--weights` lacks a file.

The two take turns: a round is one campaign of new replicas, from process start to the end of its
analysis, and then one process of the script for each of its trials, with the same faults, from
the campaign's `faults.csv`. The script thus need not draw any, unless `--draw` makes it draw its
own as PyTorchFI does. Both do the golden run once, in the first round; the campaign's cache is
empty before it. `--overrides` apply to the campaign alone.

In float32 the top-1 errors of the two must agree within 0.1 points (except with `--draw`).
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from measuring import composed, options_parser, report, run_campaign

from resilience.data.images import balanced_choice, source_labels
from resilience.data.spec import Dataset
from resilience.networks.models import choose_preprocessing, load_classifier

SCRIPT = Path(__file__).with_name("plain_script.py")
AGREEMENT = 0.001
"""Largest allowed difference in top-1 error."""


def write_listing(dataset: Dataset, folder: Path) -> Path:
    """List a dataset's images in a CSV file with the columns file and label.

    Images that are not in files are written to the folder.
    """
    source, listing = dataset.source(), folder / "images.csv"
    with listing.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label"))
        for index in balanced_choice(source_labels(source), dataset.limit, dataset.seed).tolist():
            if hasattr(source, "samples"):
                rows.writerow(source.samples[index])
            else:
                image, label = source[index]
                path = folder / f"{index}.png"
                image.save(path)
                rows.writerow((path, label))
    return listing


def run_script(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and top-1 error of one run of the script, in its own process."""
    started = perf_counter()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    return perf_counter() - started, json.loads(done.stdout)["top1_error"]


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One row per model and round."""
    for model in options.models:
        dataset = ["dataset=digits"]
        weights = "fit"
        if options.imagenet:
            dataset = ["dataset=imagenet", f"dataset.root={options.imagenet.resolve()}"]
            stored = options.weights / f"{model}.pth" if options.weights else Path()
            weights = str(stored) if stored.is_file() else "none"
        overrides = [f"model={model}", *dataset, f"dataset.limit={options.images}"]
        (folder / model).mkdir()
        # Both load the same weights from a file, so that the campaign need not fit.
        trial = composed([*overrides, f"model.weights={weights}"])
        preprocessing = choose_preprocessing(trial.model, trial.dataset)
        classes = len(trial.dataset.source().classes)
        classifier = load_classifier(trial.model, trial.dataset, classes, torch.device("cpu"))
        file = folder / model / "weights.pth"
        torch.save(classifier.network.state_dict(), file)
        campaign = [
            *overrides,
            f"model.weights={file}",
            f"frate={','.join(options.rates)}",
            f"perturb={','.join(options.perturb)}",
            "device=cpu",
            *options.overrides,
        ]
        script = [
            *("--architecture", model, "--weights", str(file)),
            *("--images", str(write_listing(trial.dataset, folder / model))),
            *("--resize", str(preprocessing.resize), "--crop", str(preprocessing.crop)),
            *("--workers", str(options.workers)),
        ]
        for number in range(options.rounds):
            yield {"model": model} | one_round(options, campaign, script, folder / model, number)


def one_round(
    options: argparse.Namespace,
    overrides: Sequence[str],
    script: Sequence[str],
    folder: Path,
    number: int,
) -> dict[str, Any]:
    """A campaign of new replicas, then the script on the same trials."""
    replicas = f"replica=range({number * options.replicas},{(number + 1) * options.replicas})"
    campaign = run_campaign([*overrides, replicas], folder / str(number), folder / "cache")
    trials = campaign.results()
    seconds, differences = 0.0, []
    if number == 0:
        took, error = run_script(script)
        seconds += took
        differences.append(error - trials[0][1].golden["top1_error"])
    for place, result in trials:
        faults = ["--faults", str(place / "faults.csv")]
        if options.draw:
            rate, perturb = str(result.trial["frate"]), result.trial["perturb"]
            faults = ["--rate", rate, "--perturb", perturb]
        took, error = run_script([*script, *faults])
        seconds += took
        if not options.draw:
            differences.append(error - result.corrupted["top1_error"])
    largest = max(map(abs, differences), default=0.0)
    precision = trials[0][1].trial["precision"]
    if precision == "float32" and largest > AGREEMENT + 1e-9:
        raise SystemExit(f"the top-1 errors differ by {largest}, more than {AGREEMENT}")
    return {
        "round": number,
        "precision": precision,
        "trials": len(trials),
        "images": trials[0][1].golden["images"],
        "campaign_s": campaign.seconds,
        "script_s": seconds,
        "ratio": seconds / campaign.seconds,
        "largest_difference": largest,
    }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet50"])
    parser.add_argument("--rates", nargs="+", default=["1e-5", "5e-5"])
    parser.add_argument("--perturb", nargs="+", default=["zero", "random"])
    parser.add_argument("--replicas", type=int, default=5, help="in one round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--imagenet", type=Path, help="folder of ImageNet images")
    parser.add_argument("--weights", type=Path, help="folder of ARCHITECTURE.pth")
    parser.add_argument("--draw", action="store_true", help="the script draws its own faults")
    parser.add_argument("--workers", type=int, default=0, help="of the script's DataLoader")
    parser.add_argument("--overrides", nargs="*", default=[], help="such as precision=bfloat16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(options, rows(options, Path(folder)))


if __name__ == "__main__":
    main()
