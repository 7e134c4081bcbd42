"""One-way tests, pairs, and cells against golden."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resilience.analysis.means import anova_oneway, posthoc
from resilience.analysis.read import read_csv
from resilience.analysis.tables import Observations

DATA = Path(__file__).parents[1] / "data"


def one_way(name: str, response: str, factor: str) -> pd.DataFrame:
    rows = read_csv(DATA / name, response, [factor]).analysed
    return anova_oneway(rows, [response], [factor], 0.05, 0).set_index("test")


def pairs(groups: dict[int, list[float]], test: str) -> pd.DataFrame:
    rows = pd.DataFrame([(g, v) for g, vs in groups.items() for v in vs], columns=["g", "y"])
    table = posthoc(rows, ["y"], ["g"], 0.05)
    return table[table["test"] == test].set_index(["group_a", "group_b"])


def test_one_way_tests_of_r() -> None:
    # R's help: oneway.test and kruskal.test of PlantGrowth and InsectSprays.
    plants = one_way("plant_growth.csv", "weight", "group")
    assert plants.loc["f", "statistic"] == pytest.approx(4.846, abs=5e-4)
    assert plants.loc["f", "p"] == pytest.approx(0.0159, abs=5e-5)
    assert plants.loc["kruskal_wallis", "statistic"] == pytest.approx(7.9882, abs=5e-5)
    assert plants.loc["kruskal_wallis", "p"] == pytest.approx(0.01842, abs=5e-6)
    sprays = one_way("insect_sprays.csv", "count", "spray")
    assert sprays.loc["welch", "statistic"] == pytest.approx(36.065, abs=5e-4)
    assert sprays.loc["welch", "df2"] == pytest.approx(30.043, abs=5e-4)


def test_permutation_of_plant_growth_is_near_its_f() -> None:
    plants = one_way("plant_growth.csv", "weight", "group")
    assert plants.loc["permutation", "p"] == pytest.approx(plants.loc["f", "p"], abs=0.004)
    assert plants.loc["permutation", "statistic"] == plants.loc["f", "statistic"]


def test_a_campaign_is_compared_both_ways(observations: Observations) -> None:
    table = anova_oneway(
        observations.analysed, observations.responses, observations.factors, 0.05, 0
    )
    assert len(table) == 2 * 6 * 4
    assert table.loc[0, ["among", "within"]].tolist() == ["model", "frate=1e-05"]
    assert set(table["within"]) == {
        "frate=1e-05",
        "frate=3e-05",
        "frate=5e-05",
        "model=inception_v3",
        "model=resnet50",
        "model=vgg19",
    }
    rows = observations.analysed.query("model == 'vgg19'")
    groups = [part["top1_error"] for _, part in rows.groupby("frate")]
    line = table.query("test == 'f' and within == 'model=vgg19' and response == 'top1_error'")
    assert line["statistic"].item() == pytest.approx(stats.f_oneway(*groups).statistic)


def test_tukey_of_r() -> None:
    # R's TukeyHSD(aov(weight ~ group, PlantGrowth)).
    rows = read_csv(DATA / "plant_growth.csv", "weight", ["group"]).analysed
    table = posthoc(rows, ["weight"], ["group"], 0.05).query("test == 'tukey_hsd'")
    printed = [
        ("trt1", "ctrl", -0.371, -1.0622161, 0.3202161, 0.3908711),
        ("trt2", "ctrl", 0.494, -0.1972161, 1.1852161, 0.1979960),
        ("trt2", "trt1", 0.865, 0.1737839, 1.5562161, 0.0120064),
    ]
    columns = ["group_a", "group_b", "estimate", "low", "high", "p_adjusted"]
    for found, expected in zip(table[columns].itertuples(index=False), printed, strict=True):
        assert tuple(found[:2]) == expected[:2]
        np.testing.assert_allclose(np.array(found[2:], float), expected[2:], atol=5e-8)


def test_games_howell_of_spss() -> None:
    # SPSS's ONEWAY /POSTHOC=GH, as scipy's own tests print it.
    table = pairs(
        {0: [30, 23, 51], 1: [-81, 71, -27, 63], 2: [42, 11, 29, 19, 50], 3: [23, 22, 20, 18, 9]},
        "games_howell",
    )
    printed = {
        ("1", "0"): (-28.16666667, -198.318749711003, 141.985416377670, 0.8727542747886180),
        ("2", "0"): (-4.466666667, -46.2164010117237, 37.2830676783904, 0.9752628408671710),
        ("3", "0"): (-16.26666667, -67.6266445715803, 35.0933112382470, 0.4262506151302880),
        ("2", "1"): (23.70000000, -147.915617201249, 195.315617201249, 0.9148950609000590),
        ("3", "1"): (11.90000000, -164.305478728519, 188.105478728519, 0.9861432250093960),
        ("3", "2"): (-11.80000000, -39.8894857524254, 16.2894857524254, 0.4755344436335670),
    }
    for pair, expected in printed.items():
        found = table.loc[pair, ["estimate", "low", "high", "p_adjusted"]].to_numpy(float)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_pairs_of_two_groups_are_student_and_welch() -> None:
    groups = {0: [1.0, 2, 4, 3.5], 1: [2.0, 7, 9, 12, 3]}
    for test, equal in (("tukey_hsd", True), ("games_howell", False)):
        line = pairs(groups, test).loc[("1", "0")]
        expected = stats.ttest_ind(groups[1], groups[0], equal_var=equal)
        interval = expected.confidence_interval(0.95)
        assert line["p_adjusted"] == pytest.approx(expected.pvalue, rel=1e-8)
        assert line["p"] == pytest.approx(expected.pvalue)
        assert line["df"] == pytest.approx(expected.df)
        assert (line["low"], line["high"]) == pytest.approx((interval.low, interval.high))


def golden(values: list[list[float]]) -> pd.DataFrame:
    rows = pd.DataFrame(
        [(i, v) for i, cell in enumerate(values) for v in cell], columns=["cell", "error_increase"]
    )
    return posthoc(rows, [], ["cell"], 0.05).set_index(["test", "group_a"])


def test_cells_against_golden_are_one_sample_tests_with_holm() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    cells = [list(rng.normal(shift, 1, 10)) for shift in (0.2, 1.0, 0.7)]
    table = golden(cells)
    for test, function in (
        ("golden_t", lambda x: stats.ttest_1samp(x, 0)),
        ("golden_wilcoxon", lambda x: stats.wilcoxon(x, method="exact")),
    ):
        expected = [function(cell).pvalue for cell in cells]
        np.testing.assert_allclose(table.loc[test, "p"], expected)
        holm = multipletests(expected, method="holm")[1]
        np.testing.assert_allclose(table.loc[test, "p_adjusted"], holm)
    interval = stats.ttest_1samp(cells[1], 0).confidence_interval(0.95)
    line = table.loc[("golden_t", "cell=1")]
    assert (line["low"], line["high"]) == pytest.approx((interval.low, interval.high))
    assert set(table["group_b"]) == {"golden"}


def test_signed_ranks_with_ties_are_counted_out() -> None:
    # Ranks 1.5, 1.5, 3, 4.5, 4.5 of which the first is negative: W+ is 13.5 of 15. Of the 32
    # signs four reach 13.5 or more (none negative, or one of 1.5 twice: three ways), two-sided 6.
    table = golden([[-0.1, 0.1, 0.2, 0.3, 0.3, 0.0]])
    line = table.loc[("golden_wilcoxon", "cell=0")]
    assert line["statistic"] == 13.5
    assert line["p"] == pytest.approx(6 / 32)


def test_signed_ranks_of_many_are_those_of_scipy() -> None:
    values = list(np.random.default_rng(1).normal(0.2, 1, 80))
    line = golden([values]).loc[("golden_wilcoxon", "cell=0")]
    assert line["p"] == pytest.approx(stats.wilcoxon(values).pvalue)


def test_a_campaign_has_all_pairs_and_all_cells(observations: Observations) -> None:
    table = posthoc(observations.analysed, observations.responses, observations.factors, 0.05)
    counts = table.groupby("test").size().to_dict()
    assert counts == {"tukey_hsd": 36, "games_howell": 36, "golden_t": 18, "golden_wilcoxon": 18}
    assert table["group_a"].iloc[-1] == "model=vgg19, frate=5e-05, perturb=zero"
    assert (table["note"] == "").all()
    assert set(table["decision"]) == {"rejected", "not rejected"}
