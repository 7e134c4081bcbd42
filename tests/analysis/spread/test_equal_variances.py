from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resilience.analysis.read import read_csv
from resilience.analysis.spread import sd_intervals, variances
from resilience.analysis.spread.samples import Sample, banga_fox
from resilience.analysis.tables import Observations

DATA = Path(__file__).parents[1] / "data"


def one_factor(name: str, response: str, factor: str) -> pd.DataFrame:
    rows = read_csv(DATA / name, response, [factor]).analysed
    return variances(rows, [response], [factor], 0.05).set_index("test")


def test_gear_data_of_nist() -> None:
    # NIST/SEMATECH e-Handbook 1.3.5.7 and 1.3.5.10; more digits: scipy's own tests.
    table = one_factor("gear.csv", "diameter", "batch")
    assert table.loc["bartlett", "statistic"] == pytest.approx(20.7859, abs=5e-5)
    assert table.loc["bartlett", "statistic"] == pytest.approx(20.78587342806484)
    assert table.loc["brown_forsythe", "statistic"] == pytest.approx(1.70591, abs=1e-5)
    assert table.loc["brown_forsythe", "statistic"] == pytest.approx(1.7059176930008939)
    assert table.loc["brown_forsythe", ["df1", "df2"]].tolist() == [9, 90]
    assert table.loc["bartlett", "decision"] == "rejected"
    assert table.loc["brown_forsythe", "decision"] == "not rejected"


def test_insect_sprays_of_r() -> None:
    # R's help: bartlett.test and fligner.test of InsectSprays.
    table = one_factor("insect_sprays.csv", "count", "spray")
    assert table.loc["bartlett", "statistic"] == pytest.approx(25.96, abs=5e-3)
    assert table.loc["bartlett", "p"] == pytest.approx(9.085e-05, rel=5e-4)
    assert table.loc["fligner", "statistic"] == pytest.approx(14.483, abs=5e-4)
    assert table.loc["fligner", "p"] == pytest.approx(0.01282, abs=5e-6)


def test_a_campaign_is_tested_per_model_in_three_groupings(observations: Observations) -> None:
    rows = observations.analysed
    table = variances(rows, ["top1_error"], observations.factors, 0.05)
    assert len(table) == 3 * (2 + 1 + 1) * 5
    keys = ["model", "perturb", "grouping", "test"]
    by = table.set_index(keys)["p"]

    cell = rows.query("model == 'resnet50' and perturb == 'zero'")
    groups = [part["top1_error"] for _, part in cell.groupby("frate")]
    expected = stats.levene(*groups, center="median").pvalue
    assert by["resnet50", "zero", "per_perturb", "brown_forsythe"] == pytest.approx(expected)

    model = rows.query("model == 'resnet50'")
    groups = [part["top1_error"] for _, part in model.groupby("frate")]
    assert by["resnet50", "", "pooled", "fligner"] == pytest.approx(stats.fligner(*groups).pvalue)

    centred = model["top1_error"] - model.groupby(["frate", "perturb"])["top1_error"].transform(
        "mean"
    )
    groups = [centred[part.index] for _, part in model.groupby("frate")]
    expected = stats.bartlett(*groups).pvalue
    assert by["resnet50", "", "centred", "bartlett"] == pytest.approx(expected)
    _, expected = banga_fox([Sample(g.to_numpy(), 18) for g in groups])
    assert by["resnet50", "", "centred", "banga_fox"] == pytest.approx(expected)


def test_a_gap_between_treatments_is_no_spread_when_centred() -> None:
    # The level with a gap of three standard deviations between its treatments spreads as the
    # others do; pooled raw it seems to spread more.
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            (m, f, p, rng.normal(3 * f * (p == "zero"), 1))
            for m in range(60)
            for f in (0, 0.5, 1)
            for p in ("random", "zero")
            for _ in range(10)
        ],
        columns=["model", "level", "perturb", "y"],
    )
    table = variances(rows, ["y"], ["model", "level", "perturb"], 0.05)
    chosen = table[table["test"] == "brown_forsythe"].groupby("grouping")["decision"]
    share = chosen.apply(lambda d: (d == "rejected").mean())
    assert share["pooled"] > 0.8
    assert share["centred"] < 0.15
    assert share["per_perturb"] < 0.15


def test_deviations_that_are_all_equal_are_no_ranks_to_compare() -> None:
    rows = pd.DataFrame({"g": list("aabbcc"), "y": [0.0, 2, 5, 7, 9, 11]})
    table = variances(rows, ["y"], ["g"], 0.05).set_index("test")
    assert table.loc["fligner", "note"] == "deviations from the median are all equal"
    assert table.loc["fligner", ["statistic", "p"]].isna().all()
    assert table.loc["fligner", "decision"] == ""
    wider = variances(rows.assign(y=[0.0, 2, 5, 9, 9, 11]), ["y"], ["g"], 0.05).set_index("test")
    expected = stats.fligner([0, 2], [5, 9], [9, 11])
    assert wider.loc["fligner", "p"] == pytest.approx(expected.pvalue)
    assert wider.loc["fligner", "note"] == ""


def test_intervals_of_a_campaign(observations: Observations) -> None:
    table = sd_intervals(observations.analysed, ["top1_error"], observations.factors, 0.05)
    assert len(table) == 3 * (2 + 1 + 1) * 3 * 3
    assert ",".join(table.columns) == (
        "response,model,perturb,frate,grouping,n,sd,method,level,low,high,note"
    )
    assert ((table["low"] < table["sd"]) & (table["sd"] < table["high"])).all()
    levels = table.groupby("method")["level"].unique()
    assert levels["bonferroni"] == pytest.approx([1 - 0.05 / 3])
    assert levels["bonett"] == pytest.approx([1 - 0.05 / 3])
    assert levels["multiple_comparison"] == [0.95]
    here = table.query("model == 'vgg19' and perturb == 'zero' and frate == 3e-5")
    rows = observations.analysed.query("model == 'vgg19' and perturb == 'zero' and frate == 3e-5")
    sd = rows["top1_error"].std()
    assert here["sd"].unique() == pytest.approx([sd])
    low, high = np.sqrt(9 * sd**2 / stats.chi2.isf([0.05 / 6, 1 - 0.05 / 6], 9))
    found = here.query("method == 'bonferroni'")
    assert (found["low"].item(), found["high"].item()) == pytest.approx((low, high))


def test_centred_deviation_pools_the_variances_of_the_cells(observations: Observations) -> None:
    table = sd_intervals(observations.analysed, ["top1_error"], observations.factors, 0.05)
    here = table.query("grouping == 'centred' and model == 'vgg19' and frate == 3e-5")
    rows = observations.analysed.query("model == 'vgg19' and frate == 3e-5")
    pooled = np.sqrt(rows.groupby("perturb")["top1_error"].var().mean())
    assert here["sd"].unique() == pytest.approx([pooled])


def test_fewer_than_three_factors_pool_nothing() -> None:
    rows = read_csv(DATA / "mtcars.csv", "hp", ["am", "cyl"]).analysed
    table = variances(rows, ["hp"], ["am", "cyl"], 0.05)
    assert set(table["grouping"]) == {"centred"}
    assert ",".join(table.columns) == (
        "response,am,grouping,test,statistic,df1,df2,p,decision,note"
    )
    groups = [part["hp"] for _, part in rows.query("am == 0").groupby("cyl")]
    expected = stats.bartlett(*[g.astype(float) for g in groups]).pvalue
    assert table.query("am == 0 and test == 'bartlett'")["p"].item() == pytest.approx(expected)
