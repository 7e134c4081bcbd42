"""Overhead of a campaign over its trials: time per trial, and memory, as their number grows.

    python benchmarks/campaign.py [--trials 2000] [--sweeper campaign basic] [--output FILE]

Each campaign runs in its own process: first a tenth of the trials, then all of them. Overhead is
wall time minus the seconds that the trials report; that of one trial is computed from the
difference between the two campaigns, which excludes start-up. Sweepers take turns. `basic` is
Hydra's own, which composes each configuration twice.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from resilience.results.record import find_results, read_result


class Tiny(nn.Sequential):
    """Three small convolutions: one trial takes milliseconds."""

    def __init__(self, num_classes: int) -> None:
        convolutions = (nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3, 2), nn.Conv2d(4, 4, 3, 2))
        super().__init__(
            *convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
        )


SWEEP = [
    *("model=torchvision", "model.name=tiny", "model.network._target_=campaign.Tiny"),
    *("~model.network.architecture", "model.weights=none", "dataset.limit=32", "threads=1"),
    *("frate=0.01,0.05", "perturb=zero,random", "analysis.enabled=false"),
]


@dataclass(frozen=True, slots=True)
class Measured:
    """One campaign: trials, seconds in total and within trials, peak memory in MiB."""

    trials: int
    seconds: float
    in_trials: float
    peak_memory: float


def run_campaign(trials: int, sweeper: str, folder: Path) -> Measured:
    """Run a campaign of about `trials` trials in its own process."""
    directory = folder / f"{sweeper}-{trials}"
    command = [sys.executable, "-m", "resilience", "-m", *SWEEP, f"hydra/sweeper={sweeper}"]
    command += [f"replica=range(0,{trials // 4})", f"hydra.sweep.dir={directory}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment["RESILIENCE_CACHE"] = str(folder / "cache")
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"a campaign failed: {' '.join(command)}")
    results = [read_result(path) for path in find_results(directory)]
    in_trials = sum(result.provenance["seconds"] for result in results)
    return Measured(len(results), seconds, in_trials, usage.ru_maxrss / 2**10)


def main() -> None:
    """Print a table, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--sweeper", nargs="+", default=["campaign"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            (sweeper, trials): run_campaign(trials, sweeper, Path(folder))
            for trials in (options.trials // 10, options.trials)
            for sweeper in options.sweeper
        }
    print(f"{'sweeper':10} {'trials':>7} {'seconds':>9} {'in trials':>10} {'peak MiB':>9}")
    for (sweeper, _), one in measured.items():
        print(
            f"{sweeper:10} {one.trials:7} {one.seconds:9.1f} {one.in_trials:10.1f} "
            f"{one.peak_memory:9.0f}"
        )
    for sweeper in options.sweeper:
        few, many = (one for (name, _), one in measured.items() if name == sweeper)
        overhead = (many.seconds - many.in_trials) - (few.seconds - few.in_trials)
        figures[sweeper] = {
            "campaigns": [asdict(few), asdict(many)],
            "overhead_ms_per_trial": round(1000 * overhead / (many.trials - few.trials), 1),
            "memory_kib_per_trial": round(
                1024 * (many.peak_memory - few.peak_memory) / (many.trials - few.trials), 1
            ),
        }
        print(
            f"{sweeper}: {figures[sweeper]['overhead_ms_per_trial']} ms and "
            f"{figures[sweeper]['memory_kib_per_trial']} KiB for each further trial"
        )
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
