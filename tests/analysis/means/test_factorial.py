from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resilience.analysis.means import anova, permutation
from resilience.analysis.read import read_csv, select
from resilience.analysis.tables import Observations

DATA = Path(__file__).parents[1] / "data"
NIST = files("scipy") / "stats" / "tests" / "data" / "nist_anova"

DIGITS = {
    "SiRstv": 12.5,
    "SmLs01": 13,
    "SmLs02": 13,
    "SmLs03": 13,
    "AtmWtAg": 10,
    "SmLs04": 10,
    "SmLs05": 10,
    "SmLs06": 10,
    "SmLs07": 4.1,
    "SmLs08": 4.1,
    "SmLs09": 4.1,
}
"""Digits of F that double precision of the data allows."""


def effects(rows: pd.DataFrame, response: str, factors: list[str]) -> pd.DataFrame:
    table = anova(rows.sort_values(factors), [response], factors, seed=0)
    return table[table["response"] == response].set_index("effect")


@pytest.fixture
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(permutation, "RESAMPLES", 19)
    return


@pytest.mark.usefixtures("few_permutations")
@pytest.mark.parametrize(("name", "digits"), DIGITS.items())
def test_nist_one_way_sets_keep_their_digits(name: str, digits: float) -> None:
    file = NIST / f"{name}.dat"
    if not file.is_file():
        pytest.skip("this scipy was installed without its tests' data")
    lines = file.read_text().splitlines()
    certified = next(line for line in lines[40:] if line.startswith("Between"))
    _, _, df, squares, _, f = certified.split()
    observed = [line.split() for line in lines[60:] if line.strip()]
    rows = pd.DataFrame(observed, columns=["treatment", "response"]).astype(float)
    line = effects(rows, "response", ["treatment"]).loc["treatment"]
    assert line["df"] == int(df)
    assert -np.log10(abs(line["F"] / float(f) - 1) + 1e-17) > digits
    assert -np.log10(abs(line["sum_sq"] / float(squares) - 1) + 1e-17) > digits - 0.5


def test_type_two_of_an_unbalanced_design_in_print() -> None:
    # car::Anova of R's mtcars, as the documentation of CGPfunctions::aovtype2 prints it.
    rows = read_csv(DATA / "mtcars.csv", "hp", ["cyl", "am"]).analysed
    table = effects(rows, "hp", ["cyl", "am"])
    assert table.loc[["cyl", "am", "cyl:am", "residual"], "df"].tolist() == [2, 1, 2, 26]
    squares = table.loc[["cyl", "am", "cyl:am", "residual"], "sum_sq"]
    np.testing.assert_allclose(squares, [102729, 7318, 12181, 22197], atol=0.5)
    tested = table.loc[["cyl", "am", "cyl:am"]]
    np.testing.assert_allclose(tested["F"], [60.1644, 8.5716, 7.1341], atol=5e-5)
    np.testing.assert_allclose(tested["p"], [1.759e-10, 0.007009, 0.003390], rtol=5e-4)


def test_type_two_of_another_response_in_print() -> None:
    # Anova(lm(wt ~ factor(cyl) * factor(am), data = mtcars), type = 2), RIP tutorial on R.
    rows = read_csv(DATA / "mtcars.csv", "wt", ["cyl", "am"]).analysed
    tested = effects(rows, "wt", ["cyl", "am"]).loc[["cyl", "am", "cyl:am"]]
    np.testing.assert_allclose(tested["sum_sq"], [7.2278, 3.2845, 0.0668], atol=5e-5)
    np.testing.assert_allclose(tested["F"], [11.5266, 10.4758, 0.1065], atol=5e-5)
    np.testing.assert_allclose(tested["p"], [0.0002606, 0.0032895, 0.8993714], rtol=5e-4)


@pytest.mark.usefixtures("few_permutations")
@pytest.mark.parametrize("missing", [0, 37])
def test_three_factors_agree_with_statsmodels(observations: Observations, missing: int) -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rows = observations.analysed.sample(180 - missing, random_state=3)
    formula = "top1_error ~ C(model, Sum) * C(frate, Sum) * C(perturb, Sum)"
    expected = anova_lm(ols(formula, rows).fit(), typ=2)
    names = expected.index.str.replace(r"C\((\w+), Sum\)", r"\1", regex=True)
    table = effects(rows, "top1_error", ["model", "frate", "perturb"])
    for ours, theirs in (("sum_sq", "sum_sq"), ("df", "df"), ("F", "F"), ("p", "PR(>F)")):
        found = table.loc[names.str.replace("Residual", "residual"), ours]
        np.testing.assert_allclose(found, expected[theirs], rtol=1e-8)


def test_sizes_of_effects(observations: Observations) -> None:
    table = effects(observations.analysed, "top1_error", ["model", "frate", "perturb"])
    residual = table.loc["residual"]
    line = table.loc["model:frate"]
    eta = line["sum_sq"] / (line["sum_sq"] + residual["sum_sq"])
    assert line["eta_sq_partial"] == pytest.approx(eta)
    ratio = line["df"] * (line["F"] - 1)
    assert line["omega_sq_partial"] == pytest.approx(ratio / (ratio + 180))
    assert table.loc["total", "sum_sq"] == pytest.approx(table["sum_sq"].iloc[:-1].sum())


def test_a_campaign_has_both_responses_and_their_logits(observations: Observations) -> None:
    table = anova(observations.analysed, observations.responses, observations.factors, seed=0)
    assert list(dict.fromkeys(table["response"])) == [
        "top1_error",
        "top1_error_logit",
        "error_increase",
        "error_increase_logit",
    ]
    by = table.set_index(["response", "effect"])["F"]
    for effect in ("frate", "perturb", "model:frate"):  # golden shifts each model alone
        assert by["top1_error", effect] == pytest.approx(by["error_increase", effect])
    assert by["top1_error", "model"] != pytest.approx(by["error_increase", "model"])
    assert set(table["type"]) == {"II"}


def test_logit_is_that_of_counts(observations: Observations) -> None:
    rows = observations.analysed
    wrong = (rows["top1_error"] * 1000).round()
    own = rows.assign(own=np.log((wrong + 0.5) / (1000 - wrong + 0.5)))
    expected = effects(own, "own", ["model", "frate", "perturb"])
    table = anova(rows, ["top1_error"], ["model", "frate", "perturb"], seed=0)
    found = table[table["response"] == "top1_error_logit"].set_index("effect")
    np.testing.assert_allclose(found["sum_sq"], expected["sum_sq"])


def test_golden_error_alone_makes_a_model_effect_on_the_raw_error() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"model": np.repeat(["a", "b", "c"], 60), "frate": 3 * [1e-5] * 60})
    rows["frate"] = np.tile(np.repeat([1e-5, 3e-5, 5e-5], 20), 3)
    rows["error_increase"] = rng.normal(0, 0.005, 180).round(3)
    rows["top1_error"] = rows["error_increase"] + rows["model"].map(
        {"a": 0.16, "b": 0.19, "c": 0.24}
    )
    raw = effects(rows, "top1_error", ["model", "frate"]).loc["model", "F"]
    increase = effects(rows, "error_increase", ["model", "frate"]).loc["model", "F"]
    assert raw > 1000
    assert increase < 10


def test_permutation_agrees_with_f_where_f_holds() -> None:
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {"a": np.repeat(list("xyz"), 20), "b": np.tile(list("uv"), 30), "y": rng.normal(size=60)}
    )
    table = effects(rows.iloc[3:], "y", ["a", "b"]).loc[["a", "b", "a:b"]]
    np.testing.assert_allclose(table["p_permutation"], table["p"], atol=0.025)


def test_permutation_of_one_factor_counts_all_permutations() -> None:
    # Six values, three in each group: 2 of the 20 ways reach the F observed, so p is 0.1.
    rows = pd.DataFrame({"g": list("aaabbb"), "y": [1.0, 2, 3, 7, 8, 9]})
    assert effects(rows, "y", ["g"]).loc["g", "p_permutation"] == pytest.approx(0.1, abs=0.012)


def test_the_seed_decides_the_permutations(observations: Observations) -> None:
    rows = observations.analysed
    rows = rows.assign(noise=np.random.default_rng(1).normal(size=len(rows)))

    def drawn(seed: int) -> list[float]:
        return list(anova(rows, ["noise"], ["model", "frate"], seed)["p_permutation"].dropna())

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.usefixtures("few_permutations")
def test_a_response_with_gaps_uses_the_rows_that_have_it(observations: Observations) -> None:
    gaps = observations.trials.assign(
        mean_cross_entropy=observations.trials["mean_cross_entropy"].mask(
            observations.trials["replica"] == 3
        )
    )
    rows = select(
        Observations(
            gaps, observations.factors, ("mean_cross_entropy",), observations.problems, {}
        ),
        "mean_cross_entropy",
    ).analysed
    table = anova(rows, ["top1_error", "mean_cross_entropy"], observations.factors, seed=0)
    totals = table[table["effect"] == "total"].set_index("response")["df"]
    assert totals.to_dict() == {
        "top1_error": 179,
        "top1_error_logit": 179,
        "mean_cross_entropy": 161,
    }


@pytest.mark.usefixtures("few_permutations")
def test_percentages_have_no_logit(observations: Observations) -> None:
    rows = observations.analysed
    rows = rows.assign(top1_error=100 * rows["top1_error"])
    table = anova(rows, observations.responses, observations.factors, seed=0)
    assert set(table["response"]) == {"top1_error", "error_increase"}
