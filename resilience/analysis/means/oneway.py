"""One-way tests of means: among groups at each level, and among levels for each group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.means.design import design_of, effect_basis
from resilience.analysis.means.factorial import centre
from resilience.analysis.means.permutation import permutation_p
from resilience.analysis.tables import by_response, decision, listed, named, split_roles, tabulate

TESTS = ("f", "welch", "kruskal_wallis", "permutation")
COLUMNS = (
    *("response", "among", "within", "test", "statistic", "df1", "df2", "p"),
    *("decision", "note"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows whose means are compared over the factor `among`; `within` names the fixed level."""

    among: str
    within: str
    rows: pd.DataFrame

    def groups(self, response: str) -> dict[Any, NDArray[np.float64]]:
        """Sorted observations by level."""
        parts = self.rows.dropna(subset=[response]).groupby(self.among, sort=True)[response]
        return {level: np.sort(values.to_numpy(float)) for level, values in parts}


def comparisons(rows: pd.DataFrame, factors: Sequence[str]) -> Iterator[Comparison]:
    """Comparisons of groups at each level, then of levels for each group; treatments pooled."""
    group, level, _ = split_roles(factors)
    if group is None:
        yield Comparison(level, "", rows)
        return
    for among, fixed in ((group, level), (level, group)):
        for value, part in rows.groupby(fixed, sort=True):
            yield Comparison(among, named({fixed: value}), part)


def anova_oneway(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], alpha: float, seed: int
) -> pd.DataFrame:
    """Four tests of equal means per comparison: F, Welch's F, Kruskal-Wallis, permutation of F."""
    lines = []
    for comparison in comparisons(rows, factors):
        for response in responses:
            groups = comparison.groups(response)
            for test in TESTS:
                reason = _flaw(groups, test)
                outcome = (np.nan,) * 4 if reason else _run(test, list(groups.values()), seed)
                lines.append(
                    {
                        "response": response,
                        "among": comparison.among,
                        "within": comparison.within,
                        "test": test,
                        **dict(zip(("statistic", "df1", "df2", "p"), outcome, strict=True)),
                        "decision": decision(outcome[3], alpha),
                        "note": reason,
                    }
                )
    return by_response(tabulate(lines, COLUMNS), responses)


def _flaw(groups: dict[Any, NDArray[np.float64]], test: str) -> str:
    """Why a test is impossible; empty if it is possible."""
    if len(groups) < 2:
        return "fewer than two groups"
    if np.ptp(np.concatenate(list(groups.values()))) == 0:
        return "all observations equal"
    constant = [level for level, values in groups.items() if np.ptp(values) == 0]
    single = [level for level, values in groups.items() if len(values) < 2]
    if test == "welch" and single:
        return f"one observation at {listed(single)}"
    if test == "welch" and constant:
        return f"constant group at {listed(constant)}"
    if test in ("f", "permutation") and len(single) == len(groups):
        return "one observation per group: no residual to test against"
    if test in ("f", "permutation") and len(constant) == len(groups):
        return "all groups constant: no residual to test against"
    return ""


def _run(
    test: str, groups: Sequence[NDArray[np.float64]], seed: int
) -> tuple[float, float, float, float]:
    """Statistic, df1, df2, p."""
    from scipy import stats

    among, within = len(groups) - 1.0, float(sum(map(len, groups)) - len(groups))
    if test == "kruskal_wallis":
        ranks = stats.kruskal(*groups)
        return float(ranks.statistic), among, np.nan, float(ranks.pvalue)
    values = centre(np.concatenate(groups))
    centred = np.split(values, np.cumsum([len(group) for group in groups])[:-1])
    if test == "welch":
        # scipy's f_oneway has equal_var only from 1.16, and scipy 1.14 is supported.
        from statsmodels.stats.oneway import anova_oneway as welch

        result = welch(centred, use_var="unequal")
        return float(result.statistic), float(result.df[0]), float(result.df[1]), result.pvalue
    classical = stats.f_oneway(*centred)
    if test == "f":
        return float(classical.statistic), among, within, float(classical.pvalue)
    codes = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    design = design_of(pd.DataFrame({"group": codes}), ["group"])
    p = permutation_p(design, values[:, None], [effect_basis(design, (0,))], seed)
    return float(classical.statistic), np.nan, np.nan, float(p[0, 0])
