"""Constant groups, one replica, empty cells: a note, nothing invented, and no warning."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resilience.analysis import analyse, write_tables
from resilience.analysis.means import permutation
from resilience.analysis.read import read_campaigns, read_csv, select
from resilience.analysis.tables import Analysis, Observations, UnfitObservationsError
from resilience.results.record import Result
from tests.analysis import synthetic

EMPTY_WITH_A_NOTE = {
    "anova": ["F", "p"],
    "anova_oneway": ["statistic", "p"],
    "posthoc": ["p_adjusted"],
    "variances": ["statistic", "p"],
    "sd_intervals": ["low", "high"],
}


@pytest.fixture(autouse=True, scope="module")
def _few_permutations() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutation, "RESAMPLES", 49)
        yield


@pytest.fixture
def analysed(tmp_path: Path) -> Callable[[list[Result]], Analysis]:
    def run(results: list[Result]) -> Analysis:
        return analyse(read_campaigns([synthetic.save(tmp_path / "c", results)]))

    return run


def changed(wrong: Callable[[dict[str, object], int], int | None]) -> list[Result]:
    """Six replicas of the plausible campaign with other numbers of wrong images, or none."""
    results = []
    for result in synthetic.plausible_results():
        trial = dict(result.trial)
        if trial["replica"] not in range(6):
            continue
        number = wrong(trial, round(result.corrupted["top1_error"] * 1000))
        if number is not None:
            names = ("model", "frate", "perturb", "replica")
            results.append(synthetic.make_result(*(trial[name] for name in names), number))
    return results


def assert_empty_exactly_with_a_note(analysis: Analysis) -> None:
    for name, columns in EMPTY_WITH_A_NOTE.items():
        table = analysis.tables[name]
        if name == "anova":
            table = table[~table["effect"].isin(["residual", "total"])]
        for column in columns:
            values = table[column].astype(float)
            assert not np.isinf(values).any(), (name, column)
            assert (table.loc[values.isna(), "note"] != "").all(), (name, column)
        if "p" in table:
            assert not (table["p"].astype(float) == 0).any(), name


def test_everything_constant(analysed: Callable[[list[Result]], Analysis]) -> None:
    golden = {model: round(error * 1000) for model, error in synthetic.GOLDEN.items()}
    analysis = analysed(changed(lambda trial, _: golden[str(trial["model"])]))
    assert_empty_exactly_with_a_note(analysis)
    assert analysis.anova["F"].isna().all()
    assert set(analysis.variances["note"]) == {"all groups constant"}
    notes = analysis.posthoc.query("test == 'golden_wilcoxon'")["note"]
    assert set(notes) == {"no trial differs from golden"}


def test_one_constant_cell(analysed: Callable[[list[Result]], Analysis]) -> None:
    def quiet(trial: dict[str, object], wrong: int) -> int:
        still = (trial["model"], trial["perturb"], trial["frate"]) == ("vgg19", "zero", 1e-5)
        return 190 if still else wrong

    analysis = analysed(changed(quiet))
    assert_empty_exactly_with_a_note(analysis)
    here = analysis.variances.query("model == 'vgg19' and perturb == 'zero'")
    assert set(here["note"]) == {"constant group at 1e-05"}
    assert here["p"].isna().all()
    centred = analysis.variances.query("model == 'vgg19' and grouping == 'centred'")
    assert centred["p"].notna().all()
    assert analysis.anova["F"].notna().any()
    cell = analysis.sd_intervals.query("grouping == 'per_perturb' and model == 'vgg19'")
    quiet_one = cell.query("perturb == 'zero' and frate == 1e-5")
    assert set(quiet_one["note"]) == {"constant group"}
    assert (quiet_one["sd"] == 0).all()


def test_one_replica(analysed: Callable[[list[Result]], Analysis]) -> None:
    analysis = analysed(changed(lambda t, wrong: wrong if t["replica"] == 0 else None))
    assert_empty_exactly_with_a_note(analysis)
    note = "one observation per cell: no residual to test against"
    assert note in set(analysis.anova["note"])
    assert (analysis.descriptives.query("grouping == 'cell'")["note"] != "").all()


def test_two_replicas(analysed: Callable[[list[Result]], Analysis]) -> None:
    analysis = analysed(changed(lambda t, wrong: wrong if t["replica"] in (0, 1) else None))
    assert_empty_exactly_with_a_note(analysis)
    levene = analysis.variances.query("test == 'levene' and grouping == 'per_perturb'")
    assert levene["p"].isna().all()


def test_an_empty_cell(analysed: Callable[[list[Result]], Analysis]) -> None:
    def lost(trial: dict[str, object], wrong: int) -> int | None:
        gone = (trial["model"], trial["perturb"], trial["frate"]) == ("vgg19", "zero", 3e-5)
        return None if gone else wrong

    analysis = analysed(changed(lost))
    assert_empty_exactly_with_a_note(analysis)
    interaction = analysis.anova.query("effect == 'model:frate:perturb'").iloc[0]
    assert interaction["df"] == 3
    assert interaction["note"] == "1 empty cell: 3 of 4 degrees of freedom"
    here = analysis.variances.query("model == 'vgg19' and perturb == 'zero'")
    assert set(here["note"]) == {"no observations at frate=3e-05"}
    assert here["p"].notna().all()
    assert analysis.problems["kind"].tolist() == ["missing"]


def test_one_model_one_rate_one_perturbation(
    analysed: Callable[[list[Result]], Analysis],
) -> None:
    def only(trial: dict[str, object], wrong: int) -> int | None:
        kept = (trial["model"], trial["perturb"], trial["frate"]) == ("vgg19", "zero", 3e-5)
        return wrong if kept else None

    analysis = analysed(changed(only))
    assert_empty_exactly_with_a_note(analysis)
    assert "one level only: no effect to estimate" in set(analysis.anova["note"])
    assert set(analysis.variances["note"]) == {"fewer than two groups"}
    assert analysis.posthoc["test"].tolist() == ["golden_t", "golden_wilcoxon"]


def test_no_trial_above_rate_zero(tmp_path: Path) -> None:
    results = [synthetic.make_result("vgg19", 0.0, "zero", 0, 190)]
    observations = read_campaigns([synthetic.save(tmp_path / "c", results)])
    with pytest.raises(UnfitObservationsError, match="no trial with a rate above 0"):
        analyse(observations)


def test_a_response_without_values(observations: Observations) -> None:
    trials = observations.trials.assign(mean_cross_entropy=np.nan)
    empty = Observations(
        trials, observations.factors, observations.responses, observations.problems, {}
    )
    analysis = analyse(empty, response="mean_cross_entropy")
    assert_empty_exactly_with_a_note(analysis)
    assert analysis.anova["note"].tolist() == ["no observations"]


@pytest.mark.parametrize("factors", [["speed"], ["machine", "speed"], ["machine", "speed", "oil"]])
def test_one_to_three_factors_of_the_users_own(tmp_path: Path, factors: list[str]) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            (m, s, o, rng.normal(s, 1))
            for m in ("drill", "lathe")
            for s in (1, 2, 3)
            for o in ("a", "b")
            for _ in range(6)
        ],
        columns=["machine", "speed", "oil", "loss"],
    )
    rows.to_csv(tmp_path / "own.csv", index=False)
    analysis = analyse(read_csv(tmp_path / "own.csv", "loss", factors))
    assert_empty_exactly_with_a_note(analysis)
    assert analysis.factors == tuple(factors)
    effects = analysis.anova["effect"].tolist()
    assert len(effects) == 2 ** len(factors) - 1 + 2
    assert set(factors) <= set(analysis.descriptives.columns)
    assert "speed" in analysis.sd_intervals.columns
    assert ("machine" in analysis.variances.columns) == ("machine" in factors)
    assert ("oil" in analysis.variances.columns) == ("oil" in factors)
    assert analysis.posthoc["within"].tolist()[0] == ("" if len(factors) == 1 else "speed=1")


def test_alpha_outside_its_range_is_refused(observations: Observations) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie between 0 and 1, got 5"):
        analyse(observations, alpha=5)


def test_an_unknown_response_is_refused(observations: Observations) -> None:
    with pytest.raises(UnfitObservationsError, match="no column 'speed'"):
        analyse(observations, response="speed")


def test_empty_statistics_are_empty_in_the_file(
    analysed: Callable[[list[Result]], Analysis], tmp_path: Path
) -> None:
    write_tables(analysed(changed(lambda t, _: 250)), tmp_path / "out")
    lines = (tmp_path / "out" / "variances.csv").read_text().splitlines()
    assert (
        lines[1] == "top1_error,inception_v3,random,per_perturb,bartlett,,,,,,all groups constant"
    )


def test_fewer_factors_of_a_campaign(observations: Observations) -> None:
    analysis = analyse(select(observations, "top1_error", ["model", "frate"]))
    assert analysis.anova["effect"].tolist()[:3] == ["model", "frate", "model:frate"]
