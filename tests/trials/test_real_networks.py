"""On real weights and images: what the literature reports of bits and formats."""

from pathlib import Path
from typing import Any

import pytest

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial
from resilience.trials.workloads import Workloads
from tests.faulty import run_trial

IMAGES = 200
NETWORKS = ["resnet50", "squeezenet1_1"]


@pytest.fixture(params=NETWORKS)
def overrides(request: Any, imagenet_root: Path, imagenet_weights: Path) -> list[str]:
    """A trial on real images with real weights."""
    weights = imagenet_weights / f"{request.param}.pth"
    return [
        *("dataset=imagenet", f"dataset.root={imagenet_root}", f"dataset.limit={IMAGES}"),
        *(f"model={request.param}", f"model.weights={weights}", "sites=uniform"),
    ]


def test_exponents_matter_and_mantissas_do_not(overrides: list[str]) -> None:
    increase = {}
    for field in ("exponent", "mantissa"):
        how = ["perturb=bitflip", f"perturb.bits={field}", "faults=20", "draws=4"]
        result, _ = run_trial(build_trial(compose_trial([*overrides, *how])))
        increase[field] = result.corrupted["top1_error"] - result.golden["top1_error"]
    assert abs(increase["mantissa"]) <= 0.01
    assert increase["exponent"] > 0.1


def test_int8_is_within_one_point_of_float32(overrides: list[str]) -> None:
    wrong = {}
    for format in ("float32", "int8"):
        how = ["dataset.limit=1000", f"format={format}"]
        trial = build_trial(compose_trial([*overrides, *how]))
        workload = Workloads().of(trial)
        wrong[format] = int((workload.golden.argmax(1) != workload.samples.labels).sum())
    assert len(workload.samples) == 1000
    assert abs(wrong["int8"] - wrong["float32"]) <= 10
