"""Tests for equal variances over the levels of each family."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.spread.families import Family, families
from resilience.analysis.spread.samples import SMALLEST, Sample, banga_fox
from resilience.analysis.tables import decision, listed, split_roles

TESTS = ("bartlett", "levene", "brown_forsythe", "fligner", "banga_fox")
COLUMNS = ("response", "grouping", "test", "statistic", "df1", "df2", "p", "decision", "note")
"""The columns of group and treatment come after `response`."""

Outcome = tuple[float, float, float, float]
"""Statistic, df1, df2 and p-value."""
_NONE: Outcome = (np.nan, np.nan, np.nan, np.nan)


def variances(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float
) -> pd.DataFrame:
    """Five tests for equal variances over the levels of every family; one row per test.

    These are Bartlett, Levene (about the mean), Brown-Forsythe (about the median),
    Fligner-Killeen, and the multiple-comparisons test of Banga and Fox. `statistic` follows a
    chi-square distribution with `df1` or an F distribution with `df1` and `df2`; for banga_fox it
    is the largest difference in standard errors.
    """
    lines = []
    for response in responses:
        for family in families(rows.dropna(subset=[response]), response, factors):
            for test in TESTS:
                outcome, reason = _NONE, _flaw(family, test)
                if not reason:
                    outcome, reason = _run(test, family.present)
                statistic, df1, df2, p = outcome
                lines.append(
                    {
                        "response": response,
                        **family.names,
                        "grouping": family.grouping,
                        "test": test,
                        "statistic": statistic,
                        "df1": df1,
                        "df2": df2,
                        "p": p,
                        "decision": decision(p, alpha),
                        "note": reason or missing_levels(family, factors),
                    }
                )
    group, _, treatment = split_roles(factors)
    names = [name for name in (group, treatment) if name]
    return pd.DataFrame(lines, columns=[*COLUMNS[:1], *names, *COLUMNS[1:]])


def missing_levels(family: Family, factors: Sequence[str]) -> str:
    """Note that names the levels without observations; empty if there are none."""
    _, level, _ = split_roles(factors)
    pairs = zip(family.levels, family.samples, strict=True)
    empty = [value for value, sample in pairs if not sample.size]
    return f"no observations at {level}={listed(empty)}" if empty else ""


def _flaw(family: Family, test: str) -> str:
    """Why a test is impossible; empty if it is possible."""
    smallest = SMALLEST if test == "banga_fox" else 2
    pairs = [(v, s) for v, s in zip(family.levels, family.samples, strict=True) if s.size]
    if len(pairs) < 2:
        return "fewer than two groups"
    small = [value for value, sample in pairs if sample.size < smallest]
    if small:
        return f"fewer than {smallest} observations at {listed(small)}"
    constant = [value for value, sample in pairs if sample.constant]
    if len(constant) == len(pairs):
        return "all groups constant"
    if constant:
        return f"constant group at {listed(constant)}"
    return ""


def _run(test: str, samples: Sequence[Sample]) -> tuple[Outcome, str]:
    from scipy import stats

    values = [sample.observations for sample in samples]
    among, within = len(values) - 1.0, float(sum(map(len, values)) - len(values))
    if test == "bartlett":
        result = stats.bartlett(*values)
        return (float(result.statistic), among, np.nan, float(result.pvalue)), ""
    if test == "banga_fox":
        try:
            statistic, p = banga_fox(samples)
        except ValueError as error:
            return _NONE, str(error)
        return (statistic, np.nan, np.nan, p), ""
    centre: Callable[..., float]
    name, centre = ("mean", np.mean) if test == "levene" else ("median", np.median)
    deviations = [np.abs(v - centre(v)) for v in values]
    if test == "fligner":
        if _even(np.concatenate(deviations)):
            return _NONE, f"deviations from the {name} are all equal"
        result = stats.fligner(*values)
        return (float(result.statistic), among, np.nan, float(result.pvalue)), ""
    if all(map(_even, deviations)):
        return _NONE, f"deviations from the {name} don't vary within groups"
    result = stats.levene(*values, center=name)
    return (float(result.statistic), among, within, float(result.pvalue)), ""


def _even(deviations: NDArray[np.float64]) -> bool:
    return bool(np.ptp(deviations) <= 1e-9 * deviations.max())
