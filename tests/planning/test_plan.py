"""Plans: what a campaign does when it is run, and what it costs."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resilience.analysis.power import sample_size
from resilience.analysis.power.foresight import Wish
from resilience.faults.population.layers import Layer
from resilience.plan import cells, main
from resilience.planning.cost import Measurement, measure
from resilience.planning.plan import Cell, Plan, Proportion, plan
from resilience.planning.text import duration_text, plan_text
from tests.faulty import run_trial
from tests.test_main import run
from tests.trials.test_trial import trial_of

LAYERS = (
    Layer("features.0", "convolution", (1_000,)),
    Layer("features.2", "convolution", (20_000,)),
    Layer("features.4", "convolution", (3_000,)),
    Layer("head", "linear", (500,)),
)
MEASURED = Measurement(LAYERS, 60, 2.5, 2**30, "cpu", 16, 1)
BIG_FRATE = {"frate": 0.05}


def plan_of(*trials: Cell, **changes: Any) -> Plan:
    measured = {cell.workload: replace(MEASURED, **changes) for cell in trials}
    return plan(trials, measured, Wish(), Proportion())


def design(*rates: float, replicas: int = 10) -> list[Cell]:
    return [
        Cell(trial_of("paper", perturb, frate=rate), replicas)
        for rate in rates
        for perturb in ("zero", "random")
    ]


def test_a_plan_counts_the_faults_that_trials_have() -> None:
    trials = [trial_of(sites, **BIG_FRATE) for sites in ("paper", "uniform")]
    measured = measure(trials[0].model, trials[0].dataset, trials[0].settings)
    made = plan(
        [Cell(trial, 1) for trial in trials],
        {Cell(trials[0], 1).workload: measured},
        Wish(),
        Proportion(),
    )
    for trial, faults in zip(trials, made.faults, strict=True):
        result, _ = run_trial(trial)
        assert (faults.model, faults.sites) == ("small", trial.factors()["sites"])
        assert faults.population == result.faults["population"]
        assert faults.counts == {0.05: result.faults["count"]}


def test_a_rate_without_a_fault_is_told_before_it_fails() -> None:
    with pytest.raises(ValueError, match="gives no fault; frate="):
        plan_of(*design(1e-9))


def test_what_is_measured_is_what_a_trial_does() -> None:
    trial = trial_of()
    measured = measure(trial.model, replace(trial.dataset, limit=50), trial.settings)
    weights = [layer.name for layer in measured.layers if layer.part == "weights"]
    assert weights == [layer.name for layer in LAYERS]
    assert (measured.images, measured.device) == (50, "cpu")
    assert measured.seconds > 0
    assert measured.threads == torch.get_num_threads()
    if sys.platform == "linux":
        assert measured.memory is not None
        assert measured.memory > 2**26


def test_time_is_that_of_all_trials_and_the_golden_run() -> None:
    made = plan_of(*design(0.01, 0.02, replicas=5))
    assert (made.trials, made.cells, made.replicas) == (20, 4, (5,))
    assert made.seconds == 2.5 * 21
    assert [cost.trials for cost in made.costs] == [20]


def test_golden_trials_cost_time_and_are_not_analysed() -> None:
    made = plan_of(*design(0.0, 0.01, 0.02))
    assert made.trials == 60
    assert {effect.effect: effect.df for effect in made.effects} == {
        "frate": 1,
        "perturb": 1,
        "frate:perturb": 1,
    }
    assert [spread.levels for spread in made.spread] == [2, 2]
    assert not plan_of(*design(0.0)).effects


def test_each_stratum_is_a_population_of_its_own() -> None:
    (faults,) = plan_of(*design(0.01)).faults
    assert faults.population == 24_000  # paper: without the linear layer
    assert faults.bit_sample == sample_size(24_000 * 32, 0.01, 0.99)
    assert faults.weight_sample == sample_size(24_000, 0.01, 0.99)
    for stratum, layer in zip(faults.layers, LAYERS[:3], strict=True):
        assert (stratum.layer, stratum.weights) == (layer.name, layer.size)
        assert stratum.bit_sample == sample_size(layer.size * 32, 0.01, 0.99)
        assert stratum.weight_sample == sample_size(layer.size, 0.01, 0.99)


def test_cells_are_those_of_the_sweep() -> None:
    sweep = ["model=squeezenet1_1,resnet18", "frate=0.00001,3e-5", "perturb=random"]
    found = cells([*sweep, "perturb.high=0.5,1", "threads=3", "seed=0,1", "dataset.seed=4"])
    assert [cell.replicas for cell in found] == [20] * 8
    assert {
        (
            c.trial.model.name,
            c.trial.factors()["frate"],
            c.trial.parameters()["perturb"]["high"],
        )
        for c in found
    } == {
        (model, rate, high)
        for model in ("squeezenet1_1", "resnet18")
        for rate in (1e-5, 3e-5)
        for high in (0.5, 1.0)
    }
    assert len({cell.workload for cell in found}) == 2
    assert {cell.trial.settings.threads for cell in found} == {3}
    assert {cell.trial.dataset.seed for cell in found} == {4}


def test_a_plan_reads_well() -> None:
    text = plan_text(plan_of(*design(1e-3, 0.02)))
    assert text.startswith("40 trials: 4 cells of the design with 10 replicas, on 60 images\n")
    assert re.search(r"model +sites +layers +weights +0\.001 +0\.02\n", text)
    assert re.search(r"small +paper +3 +24,000 +24 +480\n", text)
    assert re.search(r"small +cpu +1 +16 +2\.5 s +40 +2 min +1\.0 GiB\n", text)
    assert "frate x perturb" in text
    assert max(map(len, text.splitlines())) <= 90
    assert "None" not in text
    assert "nan" not in text


def test_what_is_not_known_is_a_dash() -> None:
    text = plan_text(plan_of(*design(1e-3, 0.02, replicas=1), memory=None))
    assert re.search(r"small +cpu .* -\n", text)
    assert re.search(r"each perturbation by itself +2 +1 +- +\d+\n", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (99, "99 s"), (100, "2 min")),
        *((5400, "90 min"), (7200, "2 h 0 min"), (200_000, "2 d 7 h")),
    ],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.slow
def test_the_command_runs_nothing_and_gives_everything(tmp_path: Path) -> None:
    sweep = ["model=shufflenet_v2_x1_0", "frate=1e-4,1e-3", "dataset.limit=20", "threads=1"]
    done = run(
        ["--json", *sweep, "--effect", "0.4", "replica=range(4)", "--power=0.9"],
        tmp_path,
        [sys.executable, "-m", "resilience.plan"],
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["trials"], made["wish"]["f"], made["wish"]["power"]) == (8, 0.4, 0.9)
    assert made["costs"][0]["threads"] == 1
    (faults,) = made["faults"]
    assert faults["counts"] == {"0.0001": 124, "0.001": 1237}
    assert sum(layer["weights"] for layer in faults["layers"]) == faults["population"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [["--effect=0"], ["--sd-ratio=1"], ["--margin=1"], ["--confidence=2"], ["--power=0.01"]],
)
def test_wishes_that_mean_nothing_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_a_wrong_override_gets_one_line() -> None:
    with pytest.raises(SystemExit) as end:
        main(["model=nope"])
    assert "Could not find 'model/nope'" in str(end.value.code)
    assert "\n" not in str(end.value.code)


def test_an_error_from_the_measuring_process_is_the_same_line_as_a_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IMAGENET_ROOT", raising=False)
    with pytest.raises(SystemExit, match=r"^error: dataset.root is not set; "):
        main(["model=squeezenet1_1", "dataset=imagenet"])
