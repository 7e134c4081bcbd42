"""Descriptive statistics by group and level, and by full cell."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.tables import split_roles

QUARTILE_METHOD: Final = "weibull"
FENCE = 1.5
COLUMNS = (
    *("response", "grouping"),
    *("n", "mean", "sd", "se", "ci_low", "ci_high", "min", "q1", "median", "q3", "max", "iqr"),
    *("skewness", "kurtosis", "outliers", "quartile_method", "note"),
)
"""The factors' columns come after `grouping`."""


def descriptives(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float
) -> pd.DataFrame:
    """Statistics of each response by group and level, and by full cell; one row per cell.

    `ci_low` and `ci_high` bound the t interval of the mean of level 1 - alpha; quartiles are
    Minitab's (R's type 6); skewness and excess kurtosis are corrected for bias; `outliers` counts
    values more than 1.5 IQR outside the quartiles. Empty cells are included.
    """
    group, level, treatment = split_roles(factors)
    groupings = [("model_frate", [name for name in (group, level) if name])]
    if treatment is not None:
        groupings.append(("cell", list(factors)))
    lines = []
    for response in responses:
        for grouping, names in groupings:
            parts = {
                tuple(key): values.dropna().to_numpy(float)
                for key, values in rows.groupby(names, sort=True)[response]
            }
            for cell in product(*(sorted(rows[name].unique()) for name in names)):
                values = np.sort(parts.get(cell, np.empty(0)))
                labels = dict.fromkeys(factors, "") | dict(zip(names, cell, strict=True))
                named = {"response": response, "grouping": grouping, **labels}
                lines.append(named | describe(values, alpha))
    return pd.DataFrame(lines, columns=[*COLUMNS[:2], *factors, *COLUMNS[2:]])


def describe(values: NDArray[np.float64], alpha: float) -> dict[str, Any]:
    """Statistics of observations, shape (n,); those that need more observations are left out."""
    n = len(values)
    if n == 0:
        return {"n": 0, "quartile_method": QUARTILE_METHOD, "note": "no observations"}
    q1, median, q3 = np.quantile(values, np.array([0.25, 0.5, 0.75]), method=QUARTILE_METHOD)
    reach = FENCE * (q3 - q1)
    line: dict[str, Any] = {
        "n": n,
        "mean": values.mean(),
        "min": values.min(),
        "q1": q1,
        "median": median,
        "q3": q3,
        "max": values.max(),
        "iqr": q3 - q1,
        "outliers": int(((values < q1 - reach) | (values > q3 + reach)).sum()),
        "quartile_method": QUARTILE_METHOD,
        "note": "",
    }
    if n == 1:
        return line | {"note": "one observation: no spread"}
    if values.min() == values.max():
        constant = dict.fromkeys(("sd", "se"), 0.0)
        return line | constant | {"mean": values[0], "note": "all observations equal"}
    from scipy import stats

    sd = float(values.std(ddof=1))
    se = sd / float(np.sqrt(n))
    low, high = stats.t.interval(1 - alpha, n - 1, loc=values.mean(), scale=se)
    # Centred, because scipy refuses moments of values that differ little from their mean.
    deviations = values - values.mean()
    return line | {
        "sd": sd,
        "se": se,
        "ci_low": float(low),
        "ci_high": float(high),
        "skewness": float(stats.skew(deviations, bias=False)) if n >= 3 else np.nan,
        "kurtosis": float(stats.kurtosis(deviations, bias=False)) if n >= 4 else np.nan,
    }
