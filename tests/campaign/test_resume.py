"""What a campaign has already, and what must not join it."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

from resilience.campaign.resume import MixedCampaignError, finished, read_campaign
from resilience.faults.fault_plan import SamplingPlan
from resilience.results.record import Result, find_results, write_result
from resilience.trials.workloads import ConfiguredTrial, Workloads
from tests.faulty import run_trial
from tests.trials.test_trial import SETTINGS, trial_of

REPLICAS = [trial_of(replica=replica) for replica in range(3)]


@pytest.fixture
def results() -> list[Result]:
    workloads = Workloads()
    return [workloads.run(trial)[0] for trial in REPLICAS]


def identity(trial: ConfiguredTrial) -> dict[str, Any]:
    return Workloads().identity(trial)


def with_options(trial: ConfiguredTrial, part: str, **options: Any) -> ConfiguredTrial:
    """A trial with other options of its dataset or perturbation."""
    if part == "perturb":
        assert isinstance(trial.plan, SamplingPlan)
        perturb = trial.plan.perturb
        perturb = dataclasses.replace(perturb, options={**perturb.options, **options})
        return dataclasses.replace(trial, plan=dataclasses.replace(trial.plan, perturb=perturb))
    parameters = {**getattr(trial, part).parameters, **options}
    changed = dataclasses.replace(getattr(trial, part), parameters=parameters)
    return dataclasses.replace(trial, **{part: changed})


def test_trials_with_a_result_are_finished(results: list[Result]) -> None:
    trials = [*REPLICAS, trial_of(replica=3), trial_of(perturb="random")]
    assert finished(trials, results[1:], identity) == [False, True, True, False, False]
    assert finished(trials, [], identity) == [False] * 5
    assert Workloads().fingerprint(REPLICAS[0]) == results[0].fingerprint


def test_identities_are_asked_of_trials_with_results_and_once_for_the_others(
    results: list[Result],
) -> None:
    asked = []

    def asking(trial: ConfiguredTrial) -> dict[str, Any]:
        asked.append(trial.replica)
        return identity(trial)

    other_model = trial_of(model=dataclasses.replace(trial_of().model, name="other"), replica=7)
    finished([*(trial_of(replica=r) for r in range(3, 6)), other_model], results, asking)
    assert asked == [3]
    asked.clear()
    finished([*REPLICAS, trial_of(replica=3)], results[:2], asking)
    assert asked == [0, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (with_options(trial_of(replica=9), "dataset", limit=50), "dataset.limit was not set"),
        (with_options(trial_of(replica=9), "model", name=5), "model.name was not set"),
        (with_options(trial_of(replica=9), "perturb", low=2.0), "perturb.low was not set"),
        (trial_of(sites="layerwise"), 'sites was "uniform", is now "layerwise"'),
    ],
)
def test_other_settings_are_refused_by_name(
    changed: ConfiguredTrial, said: str, results: list[Result]
) -> None:
    with pytest.raises(MixedCampaignError, match=said):
        finished([changed], results, identity)


def test_an_option_with_another_value_is_refused_with_both_values() -> None:
    there = with_options(trial_of(perturb="random"), "perturb", low=-3.0)
    result = run_trial(there)[0]
    with pytest.raises(MixedCampaignError, match=r"perturb\.low was -3\.0, is now -1\.0"):
        finished([trial_of(perturb="random", replica=1)], [result], identity)


def test_what_is_swept_on_purpose_may_differ(results: list[Result]) -> None:
    lows = [
        with_options(trial_of(perturb="random", replica=1), "perturb", low=low)
        for low in (-1.0, -2.0)
    ]
    made = run_trial(trial_of(perturb="random"))[0]
    assert finished(lows, [made], identity) == [False, False]
    both = [run_trial(low)[0] for low in lows]
    third = with_options(trial_of(perturb="random"), "perturb", low=-3.0)
    assert finished([*lows, third], both, identity) == [True, True, False]
    assert finished([trial_of(seed=1)], results, identity) == [False]


def test_a_setting_that_only_some_results_speak_of_can_be_swept(results: list[Result]) -> None:
    """As `format=float32,int8`, where the sweep was stopped before its first result of int8."""
    int8 = trial_of(settings=dataclasses.replace(SETTINGS, format="int8"))
    assert finished([*REPLICAS, int8], results, identity) == [True, True, True, False]
    assert finished([REPLICAS[0], int8], [run_trial(int8)[0]], identity) == [False, True]
    with pytest.raises(MixedCampaignError, match=r'settings\.format was not set, is now "int8"'):
        finished([int8], results, identity)


def test_images_can_not_be_swept_into_a_campaign(results: list[Result]) -> None:
    fewer = with_options(trial_of(replica=9), "dataset", limit=50)
    with pytest.raises(MixedCampaignError, match=r"dataset\.limit was not set, is now 50"):
        finished([REPLICAS[0], fewer], results, identity)


def test_an_option_that_is_null_is_as_good_as_none(results: list[Result]) -> None:
    later = with_options(trial_of(replica=9), "dataset", added=None)
    assert finished([later], results, identity) == [False]
    earlier = [run_trial(later)[0]]
    assert finished([trial_of(replica=8)], earlier, identity) == [False]


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("weights", "0" * 64, "different weights of small"),
        ("images", "0" * 64, "different images of noise for small"),
        ("preprocessing", {}, "different preprocessing of small"),
        ("batch_size", 7, "different batch_size: 16 before, 7 now"),
        ("device", "cuda", 'different device: "cpu" before, "cuda" now'),
        ("sampler", 0, "another version of the program"),
    ],
)
@pytest.mark.parametrize("replica", [0, 9])
def test_other_weights_images_or_arithmetic_are_refused(
    part: str, value: object, said: str, replica: int, results: list[Result]
) -> None:
    if part == "sampler" and replica == 9:
        pytest.skip("faults of a trial without a result are drawn anew")
    with pytest.raises(MixedCampaignError, match=said):
        finished([trial_of(replica=replica)], results, lambda t: {**identity(t), part: value})


def test_another_torch_only_warns(results: list[Result], caplog: pytest.LogCaptureFixture) -> None:
    older = dataclasses.replace(
        results[0], provenance={**results[0].provenance, "versions": {"torch": "1.0"}}
    )
    assert finished(REPLICAS[:1], [older], identity) == [True]
    assert "used torch 1.0, new ones use" in caplog.text


def test_damaged_results_are_moved_aside_and_said_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, trial in enumerate(REPLICAS):
        write_result(tmp_path / str(number), *run_trial(trial))
    caplog.set_level(logging.WARNING)
    (tmp_path / "0" / "result.json").write_bytes(b"")
    (tmp_path / "0" / "result.json.damaged-1").write_bytes(b"older")
    (tmp_path / "1" / "faults.csv").unlink()
    assert [result.trial["replica"] for result in read_campaign(tmp_path)] == [2]
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 2
    assert "0/result.json is not whole" in caplog.text
    assert "1/faults.csv is missing; moved aside as result.json.damaged-1" in caplog.text
    assert find_results(tmp_path) == [tmp_path / "2" / "result.json"]
    assert (tmp_path / "0" / "result.json.damaged-1").read_bytes() == b"older"
    assert (tmp_path / "0" / "result.json.damaged-2").read_bytes() == b""
    assert (tmp_path / "0" / "faults.csv.damaged-1").exists()


def test_another_number_of_draws_is_refused(results: list[Result]) -> None:
    trial = trial_of(replica=9)
    assert isinstance(trial.plan, SamplingPlan)
    changed = dataclasses.replace(trial, plan=dataclasses.replace(trial.plan, draws=3))
    with pytest.raises(MixedCampaignError, match=r"draws was null, is now .*3.*"):
        finished([changed], results, identity)
