import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resilience.analysis.means.summary import describe, descriptives
from resilience.analysis.tables import Observations

VALUES = np.array([1.0, 2, 4, 4, 5, 6, 7, 9, 12, 30])


def test_statistics_are_those_of_scipy() -> None:
    line = describe(VALUES, 0.05)
    assert line["mean"] == 8
    assert line["sd"] == pytest.approx(VALUES.std(ddof=1))
    assert line["se"] == pytest.approx(stats.sem(VALUES))
    interval = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (line["ci_low"], line["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert line["skewness"] == pytest.approx(stats.skew(VALUES, bias=False))
    assert line["kurtosis"] == pytest.approx(stats.kurtosis(VALUES, bias=False))


def test_quartiles_are_those_of_minitab() -> None:
    # Position (n + 1) p: 2.75 and 8.25 of ten values.
    line = describe(VALUES, 0.05)
    assert (line["q1"], line["median"], line["q3"]) == (3.5, 5.5, 9.75)
    assert line["iqr"] == 6.25
    assert line["outliers"] == 1
    assert line["quartile_method"] == "weibull"


@pytest.mark.parametrize(
    ("values", "absent", "note"),
    [
        ([], ["mean", "sd", "min", "skewness"], "no observations"),
        ([3.0], ["sd", "se", "ci_low", "skewness"], "one observation: no spread"),
        ([2.0, 2.0, 2.0], ["ci_low", "skewness", "kurtosis"], "all observations equal"),
        ([1.0, 2.0], ["skewness", "kurtosis"], ""),
        ([1.0, 2.0, 4.0], ["kurtosis"], ""),
    ],
)
def test_what_does_not_exist_is_absent(values: list[float], absent: list[str], note: str) -> None:
    line = describe(np.array(values), 0.05)
    assert pd.Series({name: line.get(name, np.nan) for name in absent}).isna().all()
    assert line["note"] == note
    assert line["n"] == len(values)


def test_a_campaign_by_model_and_rate_and_by_cell(observations: Observations) -> None:
    table = descriptives(observations.analysed, observations.responses, observations.factors, 0.05)
    counts = table.groupby(["response", "grouping"])["n"].agg(["size", "first"])
    assert counts.loc[("top1_error", "model_frate")].tolist() == [9, 20]
    assert counts.loc[("error_increase", "cell")].tolist() == [18, 10]
    pooled = table.query("grouping == 'model_frate'")
    assert (pooled["perturb"] == "").all()
    line = pooled.query("model == 'vgg19' and frate == 3e-5 and response == 'top1_error'")
    rows = observations.analysed.query("model == 'vgg19' and frate == 3e-5")
    assert line["mean"].item() == pytest.approx(rows["top1_error"].mean())


def test_an_empty_cell_is_listed(observations: Observations) -> None:
    rows = observations.analysed.query("not (model == 'vgg19' and frate == 3e-5)")
    table = descriptives(rows, ["top1_error"], observations.factors, 0.05)
    empty = table[table["n"] == 0]
    assert len(empty) == 1 + 2
    assert set(empty["note"]) == {"no observations"}
