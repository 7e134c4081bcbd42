"""What holds whatever the numbers: order, names, shift, scale, and the null hypothesis."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.analysis.means import anova, anova_oneway, descriptives, permutation, posthoc
from resilience.analysis.spread import sd_intervals, variances
from resilience.analysis.tables import Observations

FACTORS = ("model", "frate", "perturb")
SIMULATIONS = 300


@pytest.fixture(autouse=True, scope="module")
def _few_permutations() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutation, "RESAMPLES", 99)
        yield


def observed(values: pd.DataFrame) -> Observations:
    problems = pd.DataFrame(columns=["path", "kind", "reason"])
    return Observations(values, FACTORS, ("y",), problems, {})


def tables(values: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = observed(values).analysed
    return {
        "anova": anova(rows, ["y"], FACTORS, 0),
        "anova_oneway": anova_oneway(rows, ["y"], FACTORS, 0.05, 0),
        "posthoc": posthoc(rows, ["y"], FACTORS, 0.05),
        "variances": variances(rows, ["y"], FACTORS, 0.05),
        "sd_intervals": sd_intervals(rows, ["y"], FACTORS, 0.05),
        "descriptives": descriptives(rows, ["y"], FACTORS, 0.05),
    }


@st.composite
def designs(draw: st.DrawFn) -> pd.DataFrame:
    """A factorial table, unbalanced, with errors in thousandths."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    replicas = draw(st.integers(5, 8))
    lost = draw(st.integers(0, 6))
    rows = pd.DataFrame(
        [
            (m, f, p, rng.integers(100, 400) / 1000)
            for m in "abc"
            for f in (1e-5, 3e-5)
            for p in ("random", "zero")
            for _ in range(replicas)
        ],
        columns=[*FACTORS, "y"],
    )
    return rows.drop(index=rng.choice(len(rows), lost, replace=False))


@settings(max_examples=3, deadline=None)
@given(designs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: pd.DataFrame, random: object) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = tables(rows.iloc[order])
    for name, table in tables(rows).items():
        pd.testing.assert_frame_equal(table, shuffled[name], rtol=1e-12)


@settings(max_examples=3, deadline=None)
@given(designs(), st.permutations("abc"))
def test_names_change_nothing_but_names(rows: pd.DataFrame, names: list[str]) -> None:
    new = dict(zip("abc", names, strict=True))
    before, after = tables(rows), tables(rows.assign(model=rows["model"].map(new)))
    figures = ["df", "sum_sq", "F", "p", "eta_sq_partial"]
    pd.testing.assert_frame_equal(before["anova"][figures], after["anova"][figures], rtol=1e-7)
    for table in ("variances", "sd_intervals", "descriptives"):
        keys = [c for c in before[table].columns if before[table][c].dtype != float]
        keys = [c for c in (*FACTORS, "grouping", "test", "method") if c in before[table]]
        renamed = before[table].assign(model=before[table]["model"].map(new))
        pd.testing.assert_frame_equal(
            renamed.sort_values(keys, ignore_index=True),
            after[table].sort_values(keys, ignore_index=True),
            rtol=1e-7,
        )


@settings(max_examples=3, deadline=None)
@given(designs(), st.integers(-1000, 1000).map(lambda k: k / 8))
def test_a_shift_moves_means_and_nothing_else(rows: pd.DataFrame, shift: float) -> None:
    before, after = tables(rows), tables(rows.assign(y=rows["y"] + shift))
    for name, figures in {
        "anova": ["df", "sum_sq", "F", "p"],
        "anova_oneway": ["statistic", "df1", "df2", "p"],
        "posthoc": ["estimate", "low", "high", "statistic", "p_adjusted"],
        "variances": ["statistic", "p"],
        "sd_intervals": ["sd", "low", "high"],
        "descriptives": ["sd", "iqr", "skewness", "kurtosis"],
    }.items():
        # Ranks see ties that rounding makes or breaks.
        if "test" in before[name]:
            kept = ~before[name]["test"].isin(["kruskal_wallis", "fligner"])
            before[name], after[name] = before[name][kept], after[name][kept]
        found, expected = after[name][figures].astype(float), before[name][figures].astype(float)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-9)
    moved = after["descriptives"]["mean"] - before["descriptives"]["mean"]
    np.testing.assert_allclose(moved, shift, atol=1e-9)


@settings(max_examples=3, deadline=None)
@given(designs(), st.integers(-8, 8).map(lambda k: 2.0**k))
def test_a_scale_stretches_intervals_and_moves_no_f(rows: pd.DataFrame, scale: float) -> None:
    before, after = tables(rows), tables(rows.assign(y=rows["y"] * scale))
    for name, figures in {
        "anova": ["F", "p", "p_permutation", "omega_sq_partial"],
        "anova_oneway": ["statistic", "p"],
        "posthoc": ["statistic", "p", "p_adjusted"],
        "variances": ["statistic", "p"],
    }.items():
        pd.testing.assert_frame_equal(after[name][figures], before[name][figures], rtol=1e-9)
    for name, figures in {
        "posthoc": ["estimate", "low", "high"],
        "sd_intervals": ["sd", "low", "high"],
        "descriptives": ["mean", "sd", "ci_low", "q1", "max", "iqr"],
    }.items():
        expected = before[name][figures].astype(float) * scale
        pd.testing.assert_frame_equal(after[name][figures].astype(float), expected, rtol=1e-9)


def null(replicas: int = 10) -> pd.DataFrame:
    """Many experiments with three equal levels, one `run` each."""
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "run": np.repeat(np.arange(SIMULATIONS), 3 * replicas),
            "level": np.tile(np.repeat([1, 2, 3], replicas), SIMULATIONS),
            "y": rng.standard_normal(SIMULATIONS * 3 * replicas),
        }
    )


def test_tests_of_means_reject_equal_ones_at_alpha() -> None:
    table = anova_oneway(null(), ["y"], ["run", "level"], 0.05, 0)
    within = table[table["among"] == "level"]
    shares = within.groupby("test")["decision"].apply(lambda d: (d == "rejected").mean())
    for test in ("f", "welch", "permutation"):
        assert 0.02 < shares[test] < 0.08, test
    assert 0.015 < shares["kruskal_wallis"] < 0.075


def test_tests_of_variances_reject_equal_ones_at_alpha_or_less() -> None:
    table = variances(null(), ["y"], ["run", "level"], 0.05)
    shares = table.groupby("test")["decision"].apply(lambda d: (d == "rejected").mean())
    assert 0.02 < shares["bartlett"] < 0.08
    assert 0.03 < shares["levene"] < 0.11
    for test in ("brown_forsythe", "fligner", "banga_fox"):
        assert 0.008 < shares[test] < 0.065, test


def test_bartlett_alone_is_deceived_by_skewed_errors() -> None:
    rows = null()
    table = variances(rows.assign(y=np.exp(0.8 * rows["y"])), ["y"], ["run", "level"], 0.05)
    shares = table.groupby("test")["decision"].apply(lambda d: (d == "rejected").mean())
    assert shares["bartlett"] == pytest.approx(0.46, abs=0.07)
    assert shares["brown_forsythe"] == pytest.approx(0.036, abs=0.03)
    assert shares["banga_fox"] < 0.10


def test_pairs_keep_the_level_of_their_family() -> None:
    found = []
    for _, rows in null().query("run < 60").groupby("run"):
        table = posthoc(rows, ["y"], ["level"], 0.05)
        found.append(table.groupby("test")["decision"].apply(lambda d: (d == "rejected").any()))
    shares = pd.DataFrame(found).mean()
    assert shares["tukey_hsd"] < 0.13
    assert shares["games_howell"] < 0.13


def test_factorial_permutation_rejects_equal_means_at_alpha() -> None:
    rng = np.random.default_rng(12)
    found = []
    for seed in range(150):
        rows = pd.DataFrame(
            {
                "a": np.repeat(["x", "y", "z"], 12),
                "b": np.tile(np.repeat([1, 2], 6), 3),
                "y": rng.standard_exponential(36),
            }
        )
        table = anova(rows.iloc[2:], ["y"], ["a", "b"], seed).set_index("effect")
        found.append(table.loc[["a", "b", "a:b"], "p_permutation"] <= 0.05)
    assert 0.025 < float(np.mean(found)) < 0.085
