"""Intervals of standard deviations for every sample of every family."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from resilience.analysis.spread.equal_variances import missing_levels
from resilience.analysis.spread.families import Family, families
from resilience.analysis.spread.samples import (
    SMALLEST,
    Sample,
    bonett_interval,
    chi_square_interval,
    multiple_comparison_intervals,
)
from resilience.analysis.tables import split_roles

TOO_FAR = "kurtosis too far from the other groups'"
METHODS = ("bonferroni", "bonett", "multiple_comparison")
COLUMNS = ("response", "grouping", "n", "sd", "method", "level", "low", "high", "note")
"""The factors' columns, the level last, come after `response`."""


def sd_intervals(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float
) -> pd.DataFrame:
    """Intervals of the standard deviation of every sample by three methods; one row each.

    `bonferroni` (chi-square, for normal observations) and `bonett` are confidence intervals of
    level 1 - alpha / k for the k levels of a family, hence simultaneous of level 1 - alpha.
    `multiple_comparison` intervals fail to overlap if Banga and Fox's test distinguishes the two
    groups. In grouping `centred`, `sd` pools the variances of the cells, and each cell costs one
    degree of freedom.
    """
    lines = []
    group, level, treatment = split_roles(factors)
    for response in responses:
        for family in families(rows.dropna(subset=[response]), response, factors):
            compared = _compared(family, alpha)
            for value, sample, own in zip(family.levels, family.samples, compared, strict=True):
                for method in METHODS:
                    confidence, low, high, note = _interval(method, family, sample, own, alpha)
                    lines.append(
                        {
                            "response": response,
                            **family.names,
                            level: value,
                            "grouping": family.grouping,
                            "n": sample.size,
                            "sd": sample.sd if sample.size and sample.df > 0 else np.nan,
                            "method": method,
                            "level": confidence,
                            "low": low,
                            "high": high,
                            "note": note or missing_levels(family, factors),
                        }
                    )
    names = [name for name in (group, treatment, level) if name]
    return pd.DataFrame(lines, columns=[*COLUMNS[:1], *names, *COLUMNS[1:]])


def _interval(
    method: str, family: Family, sample: Sample, compared: tuple[float, float, str], alpha: float
) -> tuple[float, float, float, str]:
    """Level, low and high, and why there is no interval."""
    confidence = 1 - alpha / max(len(family.present), 1)
    if method == "multiple_comparison":
        return 1 - alpha, *compared
    flaw = _flaw(sample, SMALLEST if method == "bonett" else 2)
    if flaw:
        return confidence, np.nan, np.nan, flaw
    try:
        interval = chi_square_interval if method == "bonferroni" else bonett_interval
        return confidence, *interval(sample, confidence), ""
    except ValueError as error:
        return confidence, np.nan, np.nan, str(error)


def _compared(family: Family, alpha: float) -> list[tuple[float, float, str]]:
    """Low, high and note of the multiple-comparisons interval of each sample."""
    flaws = [_flaw(sample, SMALLEST) for sample in family.samples]
    sound = [i for i, flaw in enumerate(flaws) if not flaw]
    reason = ""
    if len(sound) < 2:
        reason = "nothing to compare with"
    elif len(sound) < len(family.present):
        reason = "another group is constant or too small to compare with"
    lines = [(np.nan, np.nan, flaw or reason) for flaw in flaws]
    if reason:
        return lines
    found = multiple_comparison_intervals([family.samples[i] for i in sound], alpha)
    for i, (low, high) in zip(sound, found, strict=True):
        lines[i] = (low, high, "") if low <= high else (np.nan, np.nan, TOO_FAR)
    return lines


def _flaw(sample: Sample, smallest: int) -> str:
    if not sample.size:
        return "no observations"
    if sample.size < smallest or sample.df < 1:
        return f"fewer than {smallest} observations"
    if sample.constant:
        return "constant group"
    return ""
