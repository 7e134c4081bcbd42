import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resilience.analysis import analyse
from resilience.analysis.read import read_campaigns, read_csv, select
from resilience.analysis.read.selection import RESERVED
from resilience.analysis.report import find
from resilience.analysis.tables import Observations, UnfitObservationsError, layout_of
from resilience.results.record import write_result
from tests.analysis import synthetic

COLUMNS = (
    "kind,campaign,model,dataset,sites,perturb,frate,faults,seed,replica,images,top1_error,"
    "top5_error,mean_cross_entropy,masked_rate,sdc_rate,due_rate,sdc5_rate,sdc10pct_rate,"
    "sdc20pct_rate,changed_correct,golden_images,golden_top1_error,golden_top5_error,"
    "golden_mean_cross_entropy,error_increase"
)


def few(count: int = 6) -> list[synthetic.Result]:
    return list(synthetic.plausible_results())[:count]


def kinds(observations: Observations) -> list[str]:
    return sorted(observations.problems["kind"])


def test_a_campaign_gives_its_trials_and_one_golden_row_per_model(
    observations: Observations,
) -> None:
    trials = observations.trials
    assert ",".join(trials.columns) == COLUMNS
    assert trials["kind"].value_counts().to_dict() == {"trial": 180, "golden": 3}
    golden = trials[trials["kind"] == "golden"].set_index("model")
    assert golden["top1_error"].to_dict() == synthetic.GOLDEN
    assert (golden["frate"] == 0).all()
    assert set(trials["campaign"]) == {"synthetic"}
    assert observations.problems.empty


def test_error_increase_is_corrupted_less_golden(observations: Observations) -> None:
    trials = observations.trials
    expected = trials["top1_error"] - trials["golden_top1_error"]
    np.testing.assert_allclose(trials["error_increase"], expected, atol=1e-12)


def test_equal_increases_are_equal_numbers(tmp_path: Path) -> None:
    results = [
        synthetic.make_result("vgg19", 1e-5, "zero", 0, 200),
        synthetic.make_result("resnet50", 1e-5, "zero", 0, 170),
    ]
    analysed = read_campaigns([synthetic.save(tmp_path / "c", results)]).analysed
    assert set(analysed["error_increase"]) == {0.01}


def test_golden_trials_are_not_analysed(tmp_path: Path) -> None:
    results = [*few(), synthetic.make_result("vgg19", 0.0, "zero", 0, 190)]
    observations = read_campaigns([synthetic.save(tmp_path / "c", results)])
    assert len(observations.analysed) == 6
    assert set(observations.trials.query("kind == 'golden'")["model"]) == {"inception_v3", "vgg19"}


def test_provenance_tells_what_was_read(observations: Observations) -> None:
    provenance = observations.provenance
    assert provenance["campaigns"] == ["synthetic"]
    assert provenance["results"] == 180
    assert set(provenance["weights_sha256"]) == set(synthetic.GOLDEN)
    assert provenance["parameters"]["low"] == [-1.0]
    assert provenance["versions"] == [{"python": "3.11.0", "torch": "2.9.0"}]
    assert provenance["seconds"] == pytest.approx(270)


def test_two_weights_of_one_model_are_refused_by_name(tmp_path: Path) -> None:
    first, second, *_ = few()
    other = replace(second, provenance={**second.provenance, "weights_sha256": "f" * 64})
    directory = synthetic.save(tmp_path / "c", [first, other])
    with pytest.raises(UnfitObservationsError) as caught:
        read_campaigns([directory])
    message = str(caught.value)
    assert "inception_v3" in message
    assert "f" * 64 in message
    assert first.provenance["weights_sha256"] in message
    assert "\n" not in message


def test_two_image_sets_of_one_dataset_are_refused(tmp_path: Path) -> None:
    first, second, *_ = few()
    other = replace(second, provenance={**second.provenance, "images_sha256": "e" * 64})
    directory = synthetic.save(tmp_path / "c", [first, other])
    with pytest.raises(UnfitObservationsError, match="two different images"):
        read_campaigns([directory])


def test_a_damaged_result_is_listed_and_the_rest_read(tmp_path: Path) -> None:
    directory = synthetic.save(tmp_path / "c", few())
    victim = sorted(directory.rglob("result.json"))[0]
    victim.write_text(victim.read_text()[:-20])
    observations = read_campaigns([directory])
    assert len(observations.analysed) == 5
    assert kinds(observations) == ["damaged"]
    assert observations.problems.set_index("kind").loc["damaged", "path"] == str(victim)


def test_a_result_that_lacks_a_factor_is_damaged(tmp_path: Path) -> None:
    first, second, *_ = few()
    trial = {name: value for name, value in second.trial.items() if name != "seed"}
    directory = synthetic.save(tmp_path / "c", [first, replace(second, trial=trial)])
    assert kinds(read_campaigns([directory])) == ["damaged"]


def test_a_failed_trial_is_listed_and_not_missing_too(tmp_path: Path) -> None:
    *done, failed = few()
    directory = synthetic.save(tmp_path / "c", done)
    place = synthetic.trial_directory(directory, failed)
    place.mkdir(parents=True)
    document = {"trial": failed.trial, "reason": "out of\nmemory"}
    (place / "failure.json").write_text(json.dumps(document))
    problems = read_campaigns([directory]).problems
    assert problems.to_numpy().tolist() == [[str(place), "failed", "out of memory"]]


def test_a_failure_that_later_succeeded_is_none(tmp_path: Path) -> None:
    directory = synthetic.save(tmp_path / "c", few())
    place = sorted(directory.rglob("result.json"))[0].with_name("failure.json")
    place.write_text(json.dumps({"trial": {"frate": 1e-5}, "reason": "x"}))
    assert read_campaigns([directory]).problems.empty


def test_missing_replicas_are_listed_by_cell(tmp_path: Path) -> None:
    results = list(synthetic.plausible_results())
    kept = [
        r
        for r in results
        if not (
            r.trial["model"] == "vgg19"
            and r.trial["replica"] in (2, 7)
            and r.trial["perturb"] == "zero"
            and r.trial["frate"] == 3e-5
        )
    ]
    problems = read_campaigns([synthetic.save(tmp_path / "c", kept)]).problems
    expected = ["vgg19/zero/3e-05", "missing", "2 of 10 replicas: 2, 7"]
    assert problems.to_numpy().tolist() == [expected]


def test_the_same_trial_twice_counts_once(tmp_path: Path) -> None:
    first = synthetic.save(tmp_path / "one", few())
    second = synthetic.save(tmp_path / "two", few(3))
    observations = read_campaigns([first, second])
    assert len(observations.analysed) == 6
    assert kinds(observations) == ["duplicate"] * 3


def test_campaigns_merge(tmp_path: Path) -> None:
    results = few(10)
    first = synthetic.save(tmp_path / "one", results[:5])
    second = synthetic.save(tmp_path / "two", results[5:])
    observations = read_campaigns([first, second])
    assert observations.problems.empty
    assert observations.trials.query("kind == 'trial'")["campaign"].tolist() == [
        *["one"] * 5,
        *["two"] * 5,
    ]


def test_trials_that_differ_beside_the_factors_are_pointed_out(tmp_path: Path) -> None:
    first, second, *rest = few()
    moved = replace(second, trial={**second.trial, "sites": "uniform"})
    wider = replace(rest[0], parameters={**rest[0].parameters, "high": 2.0})
    observations = read_campaigns([synthetic.save(tmp_path / "c", [first, moved, wider])])
    reasons = observations.problems.query("kind == 'mixed'")["reason"].tolist()
    assert reasons == [
        "trials that differ in sites are pooled: paper, uniform",
        "trials differ in high: 1.0, 2.0",
    ]


def counted(faults: int, replica: int, harm: float = 0.02, **trial: str) -> synthetic.Result:
    draw = synthetic.make_draw(0, None, None, harm, faults)
    return synthetic.of_draws([draw], replica=replica, count=faults, **trial)


def test_exact_numbers_of_faults_take_the_place_of_rates(tmp_path: Path) -> None:
    results = [
        counted(faults, replica, 0.01 * faults * (replica + 1), model=model)
        for model in ("resnet50", "vgg19")
        for faults in (1, 2, 10)
        for replica in range(4)
        if (model, faults, replica) != ("vgg19", 10, 3)
    ]
    directory = synthetic.save(tmp_path / "c", results)
    failed = synthetic.trial_directory(directory, counted(2, 7))
    failed.mkdir(parents=True)
    trial = {**results[0].trial, "model": "vgg19", "faults": 2, "replica": 7}
    (failed / "failure.json").write_text(json.dumps({"trial": trial, "reason": "no memory"}))
    observations = read_campaigns([directory])
    assert observations.factors == ("model", "faults", "perturb")
    assert observations.problems.to_numpy().tolist() == [
        [str(failed), "failed", "no memory"],
        ["vgg19/bitflip/faults=10", "missing", "1 of 4 replicas: 3"],
    ]
    analysed = observations.analysed
    assert analysed["frate"].isna().all()
    assert analysed["faults"].dtype == "int64"
    assert analysed["sdc5_rate"].notna().all()
    analysis = analyse(observations)
    assert analysis.anova["effect"].tolist()[:3] == ["model", "faults", "perturb"]
    assert analysis.variances.query("test == 'brown_forsythe'")["p"].notna().all()
    layout = layout_of(analysis)
    assert layout.rates == ("1", "2", "10")
    assert layout.titles[1] == "number of faults"
    said = " ".join(finding.claim for finding in find(analysis).means)
    assert "with 1 fault, " in said
    assert "with 10 faults" in said
    observations.trials.to_csv(tmp_path / "trials.csv", index=False)
    again = analyse(read_csv(tmp_path / "trials.csv"))
    pd.testing.assert_frame_equal(again.variances, analysis.variances, check_dtype=False)


def test_trials_without_a_rate_are_in_no_test_of_those_with_one(tmp_path: Path) -> None:
    results = [*few(4), counted(3, 0), counted(3, 1)]
    observations = read_campaigns([synthetic.save(tmp_path / "c", results)])
    assert observations.factors == ("model", "frate", "perturb")
    analysis = analyse(observations)
    which = "2 trials with an exact number of faults"
    reason = f"{which} are excluded from the tests, because the others have a rate"
    assert analysis.problems.to_numpy().tolist() == [["", "mixed", reason]]
    assert len(observations.analysed) == 4
    assert analysis.trials["faults"].dropna().tolist() == [3, 3]


def test_a_list_of_faults_counts_its_faults_and_is_the_same_in_every_replica(
    tmp_path: Path,
) -> None:
    def listed(replica: int, sha256: str) -> synthetic.Result:
        plain = counted(3, replica)
        return replace(plain, parameters={**plain.parameters, "faults": {"from": sha256}})

    directory = tmp_path / "c"
    for number, letter in enumerate("aab"):
        write_result(directory / str(number), listed(number, letter * 64), "layer\n")
    observations = read_campaigns([directory])
    assert observations.analysed["faults"].tolist() == [3, 3]
    assert kinds(observations) == ["duplicate", "mixed"]
    assert len(observations.draws) == 2


def test_other_storage_is_pointed_out_once(tmp_path: Path) -> None:
    results = [counted(1, 0), counted(1, 1, number_format="int8")]
    observations = read_campaigns([synthetic.save(tmp_path / "c", results)])
    assert observations.problems["reason"].tolist() == [
        "trials that differ in format are pooled: float32, int8"
    ]


def test_golden_runs_that_disagree_are_pointed_out(tmp_path: Path) -> None:
    first, second, *_ = few()
    other = replace(second, golden={**second.golden, "top1_error": 0.25})
    observations = read_campaigns([synthetic.save(tmp_path / "c", [first, other])])
    assert "golden" in observations.problems.query("kind == 'mixed'")["reason"].item()


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_path_without_results_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnfitObservationsError, match=name):
        read_campaigns([tmp_path / name])


def test_trials_csv_is_an_input_again(observations: Observations, tmp_path: Path) -> None:
    observations.trials.to_csv(tmp_path / "trials.csv", index=False)
    again = read_csv(tmp_path / "trials.csv")
    pd.testing.assert_frame_equal(
        again.trials, observations.trials, check_dtype=False, check_column_type=False
    )
    assert again.responses == observations.responses
    assert again.factors == observations.factors
    assert len(again.analysed) == 180


def test_a_csv_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("machine,speed,loss\na,1,0.5\na,2,0.6\nb,1,\nb,,0.7\n")
    observations = read_csv(path, "loss", ["machine", "speed"])
    assert observations.factors == ("machine", "speed")
    assert observations.responses == ("loss",)
    assert len(observations.analysed) == 3
    assert observations.problems["reason"].tolist() == [
        "1 row without a value of a factor (machine, speed)",
        "1 row without a value of the response loss",
    ]


@pytest.mark.parametrize(
    ("response", "factors", "said"),
    [
        ("speed", None, "no column 'speed'"),
        ("model", None, "cannot be both response and factor"),
        ("dataset", None, "is not numeric"),
        (None, ["model", "colour"], "no column 'colour'"),
        (None, [], "one to three"),
        (None, ["model", "model"], "one to three"),
        (None, ["model", "frate", "perturb", "seed"], "one to three"),
    ],
)
def test_what_cannot_be_selected_is_refused(
    observations: Observations, response: str | None, factors: list[str] | None, said: str
) -> None:
    with pytest.raises(UnfitObservationsError, match=said):
        select(observations, response, factors)


def test_a_factor_named_as_a_column_of_the_tables_is_refused(tmp_path: Path) -> None:
    names = {
        *("response", "grouping", "test", "method", "level", "n", "mean", "sd", "median", "note"),
        *("statistic", "df1", "p", "decision", "low", "high", "quartile_method"),
    }
    assert names <= RESERVED
    path = tmp_path / "own.csv"
    for name in RESERVED:
        path.write_text(f"{name},loss\na,0.5\nb,0.6\n")
        with pytest.raises(UnfitObservationsError) as caught:
            read_csv(path, "loss", [name])
        expected = f"the column '{name}' has a name that the analysis reserves; rename it"
        assert str(caught.value) == expected
    path.write_text("machine,frate\na,0.5\nb,0.6\n")
    with pytest.raises(UnfitObservationsError, match="'frate' has a name"):
        read_csv(path, "frate", ["machine"])


@pytest.mark.parametrize(
    "factors", [("kind", "raw", "centred"), ("frate", "model", "type"), ("effect", "value", "F")]
)
def test_any_other_name_of_a_factor_will_do(tmp_path: Path, factors: tuple[str, ...]) -> None:
    rows = pd.DataFrame(
        [
            (*cell, cell[0] + cell[1] * error)
            for cell in product((1, 2), (1, 3), (1, 2))
            for error in (1, 2, 4, 7, 11)
        ],
        columns=["a", "b", "c", "loss"],
    )
    path, new = tmp_path / "own.csv", dict(zip("abc", factors, strict=True))
    rows.to_csv(path, index=False)
    expected = analyse(read_csv(path, "loss", ["a", "b", "c"]))
    rows.rename(columns=new).to_csv(path, index=False)
    found = analyse(read_csv(path, "loss", factors))
    for name in ("descriptives", "variances", "sd_intervals"):
        table = expected.tables[name].rename(columns=new)
        pd.testing.assert_frame_equal(found.tables[name], table)
    layout, other = layout_of(found), layout_of(expected)
    pd.testing.assert_frame_equal(
        layout.table(found.descriptives), other.table(expected.descriptives)
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with pytest.raises(UnfitObservationsError, match=r"own\.csv cannot be read"):
        read_csv(path, "x", ["y"])


def test_infinite_responses_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("machine,loss\na,0.5\nb,inf\n")
    with pytest.raises(UnfitObservationsError, match="infinite"):
        read_csv(path, "loss", ["machine"])
