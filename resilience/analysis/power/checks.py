"""Checks of the assumptions of the tests, and of their power."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.power.detectable import POWER, detectable_f, detectable_sd_ratio
from resilience.analysis.power.foresight import effects, group_sizes
from resilience.analysis.spread import cell_residuals
from resilience.analysis.tables import named, split_roles, tabulate

COLUMNS = ("response", "check", "subject", "statistic", "p", "value", "note")
SHAPIRO_LIMIT = 5_000
"""Largest number of observations for which Royston's p-value of W is valid."""

Line = dict[str, object]


def assumptions(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float, seed: int
) -> pd.DataFrame:
    """Normality, equality of standard deviations, and power, for each response.

    shapiro_residuals
        Shapiro-Wilk test of observations minus their cell's mean, overall and per group.
    sd_ratio
        Largest over smallest standard deviation of a cell, overall and per group.
    detectable_f
        Smallest Cohen's f of each effect that is detected with a power of 80 %.
    detectable_sd_ratio
        Smallest ratio of one level's standard deviation to the others' that Brown-Forsythe detects
        with a power of 80 % (seeded simulation of normal observations), for one cell per level and
        for treatments pooled after centring.
    """
    lines: list[Line] = []
    for response in responses:
        here = rows.dropna(subset=[response])
        found: list[Line] = []
        if len(here):
            found = [*_spread(here, response, factors), *_power(here, factors, alpha, seed)]
        lines.extend({"response": response, **line} for line in found)
    return tabulate(lines, COLUMNS)


def _spread(rows: pd.DataFrame, response: str, factors: Sequence[str]) -> Iterator[Line]:
    group, _, _ = split_roles(factors)
    residuals = cell_residuals(rows, response, factors)
    parts = [("all", rows)]
    if group is not None:
        parts += [(named({group: v}), part) for v, part in rows.groupby(group, sort=True)]
    for subject, part in parts:
        values = np.sort(residuals[part.index].to_numpy(float))
        yield {"check": "shapiro_residuals", "subject": subject, **_shapiro(values)}
    for subject, part in parts:
        cells = residuals[part.index].groupby([part[name] for name in factors])
        yield {"check": "sd_ratio", "subject": subject, **_ratio(cells.std().dropna())}


def _shapiro(values: NDArray[np.float64]) -> Line:
    from scipy.stats import shapiro

    if len(values) < 3:
        return {"note": "fewer than 3 observations"}
    if np.ptp(values) == 0:
        return {"note": "all residuals equal"}
    if len(values) > SHAPIRO_LIMIT:
        return {"note": f"more than {SHAPIRO_LIMIT} observations: the p-value would not be valid"}
    result = shapiro(values)
    return {"statistic": float(result.statistic), "p": float(result.pvalue)}


def _ratio(deviations: pd.Series) -> Line:
    if len(deviations) < 2:
        return {"note": "fewer than two cells with two observations"}
    constant = int((deviations == 0).sum())
    if constant:
        return {"note": f"{constant} of {len(deviations)} cells constant"}
    return {"value": float(deviations.max() / deviations.min())}


def _power(rows: pd.DataFrame, factors: Sequence[str], alpha: float, seed: int) -> Iterator[Line]:
    residual = len(rows) - rows.groupby(list(factors)).ngroups
    for effect, df in effects(rows, factors):
        line: Line = {"check": "detectable_f", "subject": effect}
        if not df or not residual:
            yield line | {"note": "nothing to estimate" if residual else "one replica per cell"}
        else:
            yield line | {"value": detectable_f(df, residual, len(rows), alpha)}
    levels, sizes = group_sizes(rows, factors)
    for grouping, replicas in sizes.items():
        subject = f"{grouping}: {levels} levels of {replicas}"
        line = {"check": "detectable_sd_ratio", "subject": subject}
        if levels < 2 or replicas < 3:
            yield line | {"note": "fewer than two levels of 3 observations"}
            continue
        value = detectable_sd_ratio(levels, replicas, alpha, seed)
        yield line | {"value": value, "note": f"power {POWER:.0%}, simulated"}
