"""Campaigns of a network so small that their trials take no time."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from resilience.__main__ import main
from resilience.results.record import find_results, read_whole_result

TINY = [
    *("model=torchvision", "model.name=tiny", "~model.network.architecture"),
    *("model.network._target_=tests.conftest.SmallNetwork", "model.weights=none"),
    *("dataset.image_size=8", "dataset.limit=20", "batch_size=10", "threads=1"),
]
ROOT = str(Path(__file__).parents[1])


class Deadly:
    """A perturbation that kills the process that many faults are made in."""

    def __call__(self, values: Tensor, rng: object) -> Tensor:
        if len(values) > 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return values * 2


def run_here(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """Run a sweep in this process; give its exit status, or the line that it ends with."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which the program sets, for its own process
    monkeypatch.setattr(sys, "argv", ["resilience", "-m", *TINY, *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


def contents(directory: Path) -> dict[tuple[str, Any, int], tuple[Any, ...]]:
    """Results of a campaign and its faults, by cell and replica, but for times and provenance."""
    found = {}
    for path in find_results(directory):
        result = read_whole_result(path)
        trial = result.trial
        faults = path.with_name("faults.csv").read_text()
        found[trial["perturb"], trial["frate"], trial["replica"]] = (
            *(result.parameters, result.fingerprint, result.faults),
            *(result.golden, result.corrupted, faults),
        )
    return found
