"""Shared by the benchmarks: running the program as a user does, and reporting rows.

Nothing here imports torch: a process starts with the peak memory of its parent.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial, rates_as_choices
from resilience.results.record import Result, find_results, read_result
from resilience.system.provenance import machine, versions

if TYPE_CHECKING:
    from resilience.trials.workloads import ConfiguredTrial

PROGRAM = (sys.executable, "-m", "resilience")
PAPER_MODELS = ["vgg19", "resnet50", "inception_v3"]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that was run in its own process.

    Attributes
    ----------
    directory
        Contains its trials.
    seconds
        From process start to end.
    peak_bytes
        Peak memory of the process, including shared pages of files.
    """

    directory: Path
    seconds: float
    peak_bytes: int

    def results(self) -> list[tuple[Path, Result]]:
        """Directory and result of every trial."""
        return [(path.parent, read_result(path)) for path in find_results(self.directory)]


def run_campaign(
    overrides: Sequence[str], directory: Path, cache: Path, program: Sequence[str] = PROGRAM
) -> Campaign:
    """Run `python -m resilience -m OVERRIDES` in a new directory.

    Parameters
    ----------
    cache
        The program's cache directory; if empty, the program decodes images and does golden runs.
    program
        Command to run in place of `python -m resilience`.

    Raises
    ------
    RuntimeError
        If the program fails, with the end of its output.
    """
    directory.mkdir(parents=True)
    log = directory / "campaign.log"
    started = perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*program, "-m", *overrides],
            cwd=directory,
            env={**os.environ, "RESILIENCE_CACHE": str(cache)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        raise RuntimeError(f"the campaign ended with status {process.returncode}:\n{end}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Campaign(directory, seconds, usage.ru_maxrss * unit)


def composed(overrides: Sequence[str]) -> "ConfiguredTrial":
    """The trial that overrides describe; nothing is loaded yet."""
    return build_trial(compose_trial(rates_as_choices(overrides)))


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose images and weights."""
    parser.add_argument(
        "--imagenet", type=Path, help="folder of ImageNet images; synthetic images otherwise"
    )
    parser.add_argument(
        "--weights", type=Path, help="folder of ARCHITECTURE.pth; fresh weights otherwise"
    )
    parser.add_argument("--side", type=int, default=224, help="of synthetic images, pixels")


def image_overrides(options: argparse.Namespace, model: str, images: Path) -> list[str]:
    """Overrides for a model on the images that the options choose.

    Parameters
    ----------
    images
        Folder with the class folders of synthetic images, if they are used.
    """
    # Resolved, as each campaign runs in its own directory.
    weights = options.weights.resolve() / f"{model}.pth" if options.weights else "none"
    overrides = [f"model={model}", f"model.weights={weights}"]
    if options.imagenet:
        return [*overrides, "dataset=imagenet", f"dataset.root={options.imagenet.resolve()}"]
    size = f"dataset.image_size={options.side}"
    return [*overrides, "dataset=imagefolder", f"dataset.root={images}", size]


def write_images(folder: Path, number: int, side: int) -> None:
    """Write synthetic images, smoothed noise, in ten class folders."""
    rng = np.random.default_rng(0)
    for image in range(number):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path = folder / f"class-{image % 10}" / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BILINEAR)
        smooth.save(path, compress_level=1)


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for a benchmark's command line, with the options common to all benchmarks."""
    parser = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser


def report(options: argparse.Namespace, rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as they arrive and then a table, and write JSON if requested.

    The file is rewritten after every row, so that a later failure loses no rows.
    """
    document: dict[str, Any] = {
        "benchmark": Path(sys.argv[0]).stem,
        "options": {name: _plain(value) for name, value in vars(options).items()},
        "machine": machine(),
        "versions": versions(),
        "rows": [],
    }
    for row in rows:
        print("  ".join(f"{name}={_short(value)}" for name, value in row.items()), flush=True)
        document["rows"].append(row)
        if options.output:
            options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print()
    print(pd.DataFrame(document["rows"]).to_string(index=False, float_format=_short))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
