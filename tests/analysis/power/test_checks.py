import numpy as np
import pytest
from scipy import stats

from resilience.analysis.power import assumptions
from resilience.analysis.power.detectable import (
    brown_forsythe_power,
    detectable_f,
    detectable_sd_ratio,
)
from resilience.analysis.tables import Observations


def test_ten_replicas_of_three_groups_see_an_f_of_0_60() -> None:
    assert detectable_f(2, 27, 30, 0.05) == pytest.approx(0.60, abs=0.005)


def test_detectable_f_has_the_power_it_claims() -> None:
    f = detectable_f(4, 162, 180, 0.01)
    critical = stats.f.isf(0.01, 4, 162)
    assert stats.ncf.sf(critical, 4, 162, 180 * f**2) == pytest.approx(0.8, abs=1e-4)


def test_a_doubling_of_one_deviation_is_seen_37_percent_of_the_time() -> None:
    assert brown_forsythe_power(2.0, 3, 10, 0.05, 0) == pytest.approx(0.37, abs=0.03)


def test_simulated_power_is_that_of_the_test_itself() -> None:
    rng = np.random.default_rng(8)
    draws = rng.standard_normal((600, 3, 10)) * np.array([3.0, 1, 1])[:, None]
    rejected = np.mean([stats.levene(*d, center="median").pvalue < 0.05 for d in draws])
    assert brown_forsythe_power(3.0, 3, 10, 0.05, 0) == pytest.approx(rejected, abs=0.06)


def test_equal_deviations_are_rejected_at_alpha_at_most() -> None:
    assert 0.01 < brown_forsythe_power(1.0, 3, 10, 0.05, 1) < 0.06


def test_detectable_ratio_is_where_power_reaches_80_percent() -> None:
    ratio = detectable_sd_ratio(3, 10, 0.05, 0)
    assert 2.5 < ratio < 4
    assert brown_forsythe_power(ratio, 3, 10, 0.05, 0) >= 0.8
    assert brown_forsythe_power(ratio - 0.02, 3, 10, 0.05, 0) < 0.8
    assert detectable_sd_ratio(3, 20, 0.05, 0) < ratio


def test_what_a_campaign_assumes(observations: Observations) -> None:
    rows = observations.analysed
    table = assumptions(rows, ["top1_error"], observations.factors, 0.05, 0)
    by = table.set_index(["check", "subject"])
    residuals = rows["top1_error"] - rows.groupby(["model", "frate", "perturb"])[
        "top1_error"
    ].transform("mean")
    line = by.loc[("shapiro_residuals", "all")]
    assert line["p"] == pytest.approx(stats.shapiro(residuals).pvalue, rel=1e-4)
    here = residuals[rows["model"] == "vgg19"]
    line = by.loc[("shapiro_residuals", "model=vgg19")]
    assert line["statistic"] == pytest.approx(stats.shapiro(here).statistic, rel=1e-6)
    deviations = rows.groupby(["model", "frate", "perturb"])["top1_error"].std()
    expected = deviations.max() / deviations.min()
    assert by.loc[("sd_ratio", "all"), "value"] == pytest.approx(expected)
    assert by.loc[("detectable_f", "model"), "value"] == detectable_f(2, 162, 180, 0.05)
    subjects = table.query("check == 'detectable_sd_ratio'")["subject"].tolist()
    assert subjects == ["per_perturb: 3 levels of 10", "centred: 3 levels of 20"]
