"""The analysis of data frames, as a notebook uses it."""

from pathlib import Path

import pandas as pd
import pytest

from resilience.analysis import analyse
from resilience.analysis.read import read_campaigns
from resilience.analysis.tables import Analysis, Observations, UnfitObservationsError
from resilience.system.errors import UserError
from tests.analysis import synthetic

SAME = ("descriptives", "anova", "anova_oneway", "posthoc", "variances", "sd_intervals")


def assert_same_tables(found: Analysis, expected: Analysis) -> None:
    for name in SAME:
        pd.testing.assert_frame_equal(
            found.tables[name], expected.tables[name], check_dtype=False, rtol=1e-12
        )


@pytest.fixture(scope="module")
def table(_observations: Observations) -> pd.DataFrame:
    return _observations.trials


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """Trials of single faults, with their draws."""
    results = synthetic.layers_and_bits(("conv2", "conv10", "fc"), (29, 30, 31), 3, replicas=3)
    return read_campaigns([synthetic.save(tmp_path_factory.mktemp("draws") / "struck", results)])


def test_a_frame_gives_the_tables_of_its_campaign(table: pd.DataFrame, analysis: Analysis) -> None:
    before = table.copy(deep=True)
    found = analyse(table)
    assert_same_tables(found, analysis)
    pd.testing.assert_frame_equal(found.trials, analysis.trials, check_dtype=False)
    assert found.provenance == {"campaigns": ["synthetic"]}
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    "lacking", [[], ["campaign"], ["kind", "campaign"], ["error_increase", "sdc5_rate"]]
)
def test_golden_rows_and_some_columns_may_be_missing(
    lacking: list[str], table: pd.DataFrame, analysis: Analysis
) -> None:
    shuffled = table[table["kind"] == "trial"].drop(columns=lacking).sample(frac=1, random_state=1)
    found = analyse(shuffled)
    assert_same_tables(found, analysis)
    golden = found.trials[found.trials["kind"] == "golden"]
    assert golden.set_index("model")["top1_error"].to_dict() == synthetic.GOLDEN


def test_objects_and_categories_are_taken_for_their_values(
    table: pd.DataFrame, analysis: Analysis
) -> None:
    odd = table.astype({"model": "category", "frate": "category", "top1_error": object})
    assert_same_tables(analyse(odd), analysis)
    assert isinstance(odd["model"].dtype, pd.CategoricalDtype)


def test_another_response_and_other_factors_can_be_chosen(table: pd.DataFrame) -> None:
    found = analyse(table, response="sdc_rate", factors=["model", "frate"])
    assert found.responses == ("sdc_rate",)
    assert found.factors == ("model", "frate")
    own = pd.DataFrame({"kiln": list("aabb") * 3, "strength": range(12)})
    assert analyse(own, "strength", ["kiln"]).anova["effect"].tolist()[0] == "kiln"


def test_the_report_is_one_file(analysis: Analysis, table: pd.DataFrame, tmp_path: Path) -> None:
    path = analyse(table).report(str(tmp_path / "new" / "mine.html"))
    assert path == tmp_path / "new" / "mine.html"
    assert [each.name for each in path.parent.iterdir()] == ["mine.html"]
    page = path.read_text(encoding="utf-8")
    assert "Resilience: synthetic" in page
    assert page.count('src="data:image/svg+xml;base64,') == 9


def test_a_report_that_fails_leaves_nothing(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("no page")

    found = analyse(table)
    monkeypatch.setattr("resilience.analysis.report.html.to_html", fail)
    monkeypatch.setattr("resilience.analysis.report.to_html", fail, raising=False)
    with pytest.raises(RuntimeError, match="no page"):
        found.report(tmp_path / "mine.html")
    assert list(tmp_path.iterdir()) == []


def test_draws_of_a_frame_are_analysed(struck: Observations, tmp_path: Path) -> None:
    expected = analyse(struck)
    table = struck.trials.copy()
    table.attrs["draws"] = struck.draws
    found = analyse(table)
    pd.testing.assert_frame_equal(found.vulnerability_layers, expected.vulnerability_layers)
    pd.testing.assert_frame_equal(found.vulnerability_bits, expected.vulnerability_bits)
    assert table.attrs["draws"] is struck.draws
    table.attrs["draws"] = struck.draws.drop(columns="place").assign(note="mine")
    natural = analyse(table)
    assert natural.vulnerability_layers["layer"].tolist() == ["conv2", "conv10", "fc"]
    report = found.write(tmp_path / "analysis")
    assert report == tmp_path / "analysis" / "report.html"
    assert "with 81 draws of faults" in report.read_text(encoding="utf-8")
    names = {path.name for path in report.parent.iterdir()}
    assert {"figures", "report.md", "vulnerability_layers.csv", "trials.csv"} <= names


def test_what_cannot_be_analysed_is_the_user_s_error(
    table: pd.DataFrame, struck: Observations
) -> None:
    with pytest.raises(UnfitObservationsError, match="not unique"):
        analyse(pd.concat([table, table], axis=1))
    wrong = struck.trials.copy()
    wrong.attrs["draws"] = struck.draws.drop(columns="bit")
    with pytest.raises(UnfitObservationsError, match="the draws have no column 'bit'"):
        analyse(wrong)
    for settings in ({"alpha": 2.0}, {"critical": 0}, {"response": "colour"}):
        with pytest.raises(UserError):
            analyse(struck, **settings)
