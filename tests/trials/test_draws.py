"""Several draws of one trial: independent, the same whatever their number, taking turns."""

import csv
import io
from collections import Counter
from statistics import fmean
from typing import Any

import pytest

from resilience.faults import sampling
from resilience.faults.bit_perturbations import BitFlip, StuckAt
from resilience.faults.perturbations import Constant
from resilience.faults.population.sites import Layerwise, Uniform
from resilience.trials.workloads import ConfiguredTrial, Workloads
from tests.faulty import faulty_trial, run_trial


def rows(trial: ConfiguredTrial) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run_trial(trial)[1])))


def sites_of(found: list[dict[str, str]], draw: int) -> list[tuple[str, str]]:
    return [(row["layer"], row["index"]) for row in found if int(row.get("draw", 0)) == draw]


def test_more_draws_leave_the_first_ones_as_they_are() -> None:
    one, three, five = (rows(faulty_trial(faults=7, draws=draws)) for draws in (1, 3, 5))
    assert sites_of(one, 0) == sites_of(three, 0) == sites_of(five, 0)
    assert sites_of(three, 2) == sites_of(five, 2)
    assert len({tuple(sites_of(five, draw)) for draw in range(5)}) == 5


def test_a_draw_is_what_a_trial_of_its_faults_alone_gives() -> None:
    alone, _ = run_trial(faulty_trial(perturb=BitFlip("exponent"), faults=7))
    among, _ = run_trial(faulty_trial(perturb=BitFlip("exponent"), faults=7, draws=4))
    assert among.draws[0] == alone.draws[0]
    assert {name: alone.draws[0][name] for name in alone.corrupted} == alone.corrupted


def test_the_result_has_the_means_over_draws() -> None:
    result, _ = run_trial(faulty_trial(perturb=BitFlip("exponent"), faults=30, draws=6))
    for name in ("top1_error", "sdc_rate", "due_rate", "masked_rate", "changed_correct"):
        assert result.corrupted[name] == fmean(draw[name] for draw in result.draws)
    rates = [result.corrupted[name] for name in ("masked_rate", "sdc_rate", "due_rate")]
    assert sum(rates) == pytest.approx(1)
    assert result.corrupted["images"] == 60
    assert result.faults["count"] == sum(result.faults["by_layer"].values()) == 6 * 30


def test_draws_take_turns_over_layers_from_replica_to_replica() -> None:
    sites, layers = Layerwise(part=("weights", "biases")), Counter[Any]()
    workloads = Workloads()
    for replica in range(11):
        trial = faulty_trial(sites, faults=3, draws=2, strata="layer", replica=replica)
        layers.update(draw["layer"] for draw in workloads.run(trial)[0].draws)
    assert set(layers.values()) == {2}
    assert {"stem", "stem.bias", "attention.in_proj_weight", "head.bias"} <= layers.keys()


def test_a_rate_is_that_of_the_layer_whose_turn_it_is() -> None:
    trial = faulty_trial(faults=None, frate=0.05, draws=6, strata="layer")
    counts = {draw["layer"]: draw["faults"] for draw in run_trial(trial)[0].draws}
    assert counts["stem"] == round(0.05 * 8 * 3 * 9)
    assert counts["head"] == round(0.05 * 160)


@pytest.mark.parametrize(
    ("perturb", "format", "expected"),
    [
        (BitFlip("any"), "int8", list(range(8))),
        (BitFlip("exponent"), "float16", list(range(10, 15))),
        (StuckAt([0, 31], value=1), "float32", [0, 31]),
    ],
)
def test_draws_take_turns_over_bits(perturb: Any, format: str, expected: list[int]) -> None:
    how = {"format": format}
    trial = faulty_trial(None, perturb, how, faults=5, draws=2 * len(expected), strata="bit")
    result, _ = run_trial(trial)
    assert [draw["bit"] for draw in result.draws] == 2 * expected


def test_turns_are_over_the_bits_of_what_is_struck() -> None:
    """Biases stay float32 where int8 holds the weights."""
    how = {"format": "int8"}
    sites, perturb = Uniform(part=("biases", "norms")), BitFlip("exponent")
    trial = faulty_trial(sites, perturb, how, faults=1, draws=8, strata="bit")
    assert [draw["bit"] for draw in run_trial(trial)[0].draws] == list(range(23, 31))
    mixed = faulty_trial(Uniform(part=("weights", "biases")), perturb, how, strata="bit")
    with pytest.raises(
        ValueError, match="held in float32 and int8, whose bits are numbered differently"
    ):
        run_trial(mixed)


def test_held_bits_that_have_their_value_are_counted_as_without_effect() -> None:
    result, text = run_trial(faulty_trial(perturb=StuckAt("exponent", value=0), faults=200))
    found = list(csv.DictReader(io.StringIO(text)))
    same = sum(row["before_bits"] == row["after_bits"] for row in found)
    assert 0 < same < 200
    assert result.faults["without_effect"] == same


def test_layer_and_bit_are_named_where_there_is_just_one() -> None:
    (draw,) = run_trial(faulty_trial(perturb=BitFlip("sign"), faults=50))[0].draws
    assert (draw["layer"], draw["bit"]) == (None, 31)
    (draw,) = run_trial(faulty_trial(Uniform("head"), Constant(1.0), faults=50))[0].draws
    assert (draw["layer"], draw["bit"]) == ("head", None)
    (draw,) = run_trial(faulty_trial(perturb=BitFlip("any", 2), faults=1))[0].draws
    assert draw["bit"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faults": 0}, "faults must be at least 1, got 0"),
        ({"draws": 0}, "draws must be at least 1, got 0"),
        ({"strata": "channel"}, "strata must be one of layer, bit, got 'channel'"),
        ({"strata": "bit"}, "needs a perturbation that strikes single bits"),
        ({"faults": 10**6}, "1,000,000 faults do not fit on [0-9,]+ weights"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run_trial(faulty_trial(**options))


def test_a_rate_that_gives_some_layer_no_fault_fails_before_any_draw() -> None:
    trial = faulty_trial(faults=None, frate=0.003, draws=2, strata="layer")
    with pytest.raises(ValueError, match=r"frate=0\.003 of 160 weights of head gives no fault"):
        run_trial(trial)


def test_faults_in_activations_that_no_list_can_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "LARGEST_LIST", 60 * 512 - 1)
    sites = Uniform("conv", "activations", "tensor")
    with pytest.raises(ValueError, match=r"30,720 elements of 60 images, .* at most 30,719"):
        run_trial(faulty_trial(sites, faults=1))
