"""Multiple comparisons of means: pairs of groups, and every cell against golden."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.means.oneway import Comparison, comparisons
from resilience.analysis.means.ranges import range_isf, range_sf
from resilience.analysis.tables import decision, named, tabulate, text

PAIRWISE = ("tukey_hsd", "games_howell")
GOLDEN = ("golden_t", "golden_wilcoxon")
EXACT = 50
"""Largest number of differences for which the exact signed-rank distribution is computed."""
COLUMNS = (
    *("response", "test", "within", "group_a", "group_b", "estimate", "low", "high"),
    *("statistic", "df", "p", "p_adjusted", "decision", "note"),
)

Groups = dict[Any, NDArray[np.float64]]
Line = dict[str, object]


def posthoc(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float
) -> pd.DataFrame:
    """Pairwise differences of means (a minus b), and tests of `error_increase` against 0 per cell.

    Pairs are compared by Tukey-Kramer, with the variance of all groups, and by Games-Howell, with
    the variances of the pair. `statistic` is the studentised difference q, `p` the p-value of
    t = q / sqrt(2) for the pair alone; `p_adjusted` and the interval of level 1 - alpha hold
    simultaneously for all pairs of a comparison. Cells are compared with golden by the one-sample
    t test and by Wilcoxon's signed-rank test (zeros dropped, `estimate` is the median), which is
    exact, given the ties, up to 50 differences; p-values are Holm-adjusted over the cells.
    """
    lines: list[Line] = []
    for response in responses:
        for comparison in comparisons(rows, factors):
            for test in PAIRWISE:
                lines.extend(_pairs(test, response, comparison, alpha))
    if "error_increase" in rows:
        for test in GOLDEN:
            lines.extend(_against_golden(test, rows, factors, alpha))
    table = tabulate(lines, COLUMNS)
    return table.assign(decision=[decision(p, alpha) for p in table["p_adjusted"]])


def _pairs(test: str, response: str, comparison: Comparison, alpha: float) -> Iterator[Line]:
    groups = comparison.groups(response)
    for b, a in combinations(groups, 2):
        figures: Line = {"note": _flaw(test, groups, a, b)}
        if not figures["note"]:
            figures = _difference(test, groups, a, b, alpha)
        yield {
            "response": response,
            "test": test,
            "within": comparison.within,
            "group_a": text(a),
            "group_b": text(b),
            "estimate": float(groups[a].mean() - groups[b].mean()),
            **figures,
        }


def _flaw(test: str, groups: Groups, a: Any, b: Any) -> str:
    if test == "games_howell":
        for level in (a, b):
            if len(groups[level]) < 2:
                return f"one observation at {text(level)}"
            if np.ptp(groups[level]) == 0:
                return f"constant group at {text(level)}"
    elif all(len(values) < 2 for values in groups.values()):
        return "one observation per group: no residual to test against"
    elif all(np.ptp(values) == 0 for values in groups.values()):
        return "all groups constant: no residual to test against"
    return ""


def _difference(test: str, groups: Groups, a: Any, b: Any, alpha: float) -> Line:
    # Not by scipy's tukey_hsd: it has Games-Howell only from 1.15 (1.14 is supported), gives no
    # p-value for a pair alone, and its studentised range loses p-values below about 1e-12.
    from scipy.stats import t as t_distribution

    pair = (groups[a], groups[b])
    if test == "tukey_hsd":
        df = float(sum(len(values) - 1 for values in groups.values()))
        squares = sum(float(((v - v.mean()) ** 2).sum()) for v in groups.values())
        errors = [squares / df / len(values) for values in pair]
    else:
        errors = [float(values.var(ddof=1)) / len(values) for values in pair]
        parts = [e**2 / (len(values) - 1) for e, values in zip(errors, pair, strict=True)]
        df = sum(errors) ** 2 / sum(parts)
    scale = float(np.sqrt(sum(errors) / 2))
    estimate = float(pair[0].mean() - pair[1].mean())
    q = abs(estimate) / scale
    margin = range_isf(alpha, len(groups), df) * scale
    return {
        "low": estimate - margin,
        "high": estimate + margin,
        "statistic": q,
        "df": df,
        "p": float(2 * t_distribution.sf(q / np.sqrt(2), df)),
        "p_adjusted": range_sf(q, len(groups), df),
    }


def _against_golden(
    test: str, rows: pd.DataFrame, factors: Sequence[str], alpha: float
) -> Iterator[Line]:
    from statsmodels.stats.multitest import multipletests

    lines = []
    cells = rows.dropna(subset=["error_increase"]).groupby(list(factors), sort=True)
    for cell, part in cells["error_increase"]:
        values = np.sort(part.to_numpy(float))
        figures = _one_sample_t(values, alpha) if test == "golden_t" else _signed_rank(values)
        lines.append(
            {
                "response": "error_increase",
                "test": test,
                "within": "",
                "group_a": named(dict(zip(factors, cell, strict=True))),
                "group_b": "golden",
                **figures,
            }
        )
    found = [line for line in lines if "p" in line]
    if found:
        adjusted = multipletests([line["p"] for line in found], method="holm")[1]
        for line, p in zip(found, adjusted, strict=True):
            line["p_adjusted"] = float(p)
    yield from lines


def _one_sample_t(values: NDArray[np.float64], alpha: float) -> Line:
    from scipy import stats

    df, mean = len(values) - 1, float(values.mean())
    if df < 1:
        return {"estimate": mean, "note": "one observation"}
    if np.ptp(values) == 0:
        return {"estimate": mean, "note": "all observations equal"}
    # Not by ttest_1samp, which warns if the values differ by rounding only.
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    low, high = stats.t.interval(1 - alpha, df, loc=mean, scale=error)
    return {
        "estimate": mean,
        "low": float(low),
        "high": float(high),
        "statistic": mean / error,
        "df": df,
        "p": float(2 * stats.t.sf(abs(mean) / error, df)),
    }


def _signed_rank(values: NDArray[np.float64]) -> Line:
    from scipy.stats import rankdata, wilcoxon

    line: Line = {"estimate": float(np.median(values))}
    changed = values[values != 0]
    if not changed.size:
        return line | {"note": "no trial differs from golden"}
    ranks = rankdata(np.abs(changed))
    above = float(ranks[changed > 0].sum())
    if len(changed) > EXACT:
        return line | {"statistic": above, "p": float(wilcoxon(changed).pvalue)}
    # Under the null hypothesis each rank is positive with probability 1/2; ranks may be halves.
    doubled = np.rint(2 * ranks).astype(int)
    chances = np.ones(1)
    for rank in doubled:
        grown = np.zeros(len(chances) + rank)
        grown[: len(chances)] += chances / 2
        grown[rank:] += chances / 2
        chances = grown
    at = round(2 * above)
    tail = min(float(chances[: at + 1].sum()), float(chances[at:].sum()))
    return line | {"statistic": above, "p": min(1.0, 2 * tail)}
