"""Analysis of variance of the full factorial model, by F test and by permutation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resilience.analysis.means.design import Design, Effect, design_of, effect_basis
from resilience.analysis.means.permutation import permutation_p
from resilience.analysis.tables import by_response, counted, tabulate
from resilience.results.metrics_table import FRACTION, METRICS

COLUMNS = (
    *("response", "effect", "df", "sum_sq", "mean_sq", "F", "p"),
    *("eta_sq_partial", "omega_sq_partial", "p_permutation", "type", "note"),
)
FRACTIONS = frozenset(metric.name for metric in METRICS if metric.unit == FRACTION)
"""Responses that are counts of images over their number, so that they have a logit."""
COMPARED = (("top1_error", "images"), ("golden_top1_error", "golden_images"))
"""The two fractions whose logits are subtracted for `error_increase`."""


def anova(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], seed: int
) -> pd.DataFrame:
    """Analysis of variance of each response, with all interactions; one row per effect.

    Sums of squares are of type II (each effect adjusted for all effects that do not contain it).
    `omega_sq_partial` is (SS - df MSE) / (SS + (N - df) MSE) and may be negative. `p_permutation`
    permutes residuals. A response that is a fraction of images is analysed again as its empirical
    logit, ln((x + 1/2) / (n - x + 1/2)) for x of n images, and `error_increase` as the difference
    between corrupted and golden logit. The last two effects are `residual` and `total`.
    """
    rows = rows.assign(**logits(rows, responses))
    names = [n for r in responses for n in (r, f"{r}_logit") if n in rows]
    whole = [name for name in names if rows[name].notna().all()]
    blocks = [whole, *([name] for name in names if name not in whole)]
    tables = [_block(rows, block, factors, seed) for block in blocks if block]
    table = pd.concat([t for block in tables for t in block], ignore_index=True)
    return by_response(table, names)


def logits(rows: pd.DataFrame, responses: Sequence[str]) -> dict[str, pd.Series]:
    """Empirical logits of the responses that are fractions of images, by column name."""
    columns = {}
    for name in responses:
        if name in FRACTIONS and _counts(rows, name, "images"):
            columns[f"{name}_logit"] = _logit(rows[name], rows["images"])
        elif name == "error_increase" and all(_counts(rows, *pair) for pair in COMPARED):
            corrupted, golden = (_logit(rows[share], rows[total]) for share, total in COMPARED)
            columns[f"{name}_logit"] = corrupted - golden
    return columns


def _counts(rows: pd.DataFrame, fraction: str, images: str) -> bool:
    """Whether one column holds fractions of the counts in another."""
    if fraction not in rows or images not in rows:
        return False
    present = rows[[fraction, images]].astype(float).dropna(subset=[fraction])
    return bool(present[fraction].between(0, 1).all() and (present[images] > 0).all())


def _logit(fraction: pd.Series, images: pd.Series) -> pd.Series:
    total = images.astype(float)
    count = (fraction * total).round()
    odds: pd.Series = (count + 0.5) / (total - count + 0.5)
    return odds.map(np.log)


def centre(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values minus their mean, without losing the digits of large values that differ little."""
    shifted = values - values[0]
    centred: NDArray[np.float64] = shifted - shifted.mean()
    return centred


def _block(
    rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str], seed: int
) -> list[pd.DataFrame]:
    """Tables of responses that have values in the same rows, so that they share a design."""
    rows = rows.dropna(subset=list(responses))
    if rows.empty:
        note = "no observations"
        return [_table(name, [{"effect": "total", "note": note}]) for name in responses]
    design = design_of(rows, factors)
    values = np.stack([centre(rows[name].to_numpy(float)) for name in responses], axis=1)
    effects = design.effects
    bases = [effect_basis(design, effect) for effect in effects]
    degrees = np.array([basis.shape[1] for basis in bases])
    residual = len(rows) - len(design.counts)

    means = design.cell_sums(values) / design.counts[:, None]
    within = ((values - means[design.codes]) ** 2).sum(axis=0)
    within[_constant_within(design, values)] = 0.0
    scaled = means * np.sqrt(design.counts)[:, None]
    between = np.stack([((basis.T @ scaled) ** 2).sum(axis=0) for basis in bases])

    p = np.full(between.shape, np.nan)
    testable = within > 0
    if residual and testable.any() and degrees.any():
        kept = np.flatnonzero(degrees)
        columns = np.flatnonzero(testable)
        drawn = permutation_p(design, values[:, columns], [bases[i] for i in kept], seed)
        p[np.ix_(kept, columns)] = drawn

    tables = []
    for j, name in enumerate(responses):
        lines = _lines(design, factors, degrees, between[:, j], float(within[j]), p[:, j])
        total = {"effect": "total", "df": len(rows) - 1, "sum_sq": (values[:, j] ** 2).sum()}
        tables.append(_table(name, [*lines, total]))
    return tables


def _lines(
    design: Design,
    factors: Sequence[str],
    degrees: NDArray[np.intp],
    between: NDArray[np.float64],
    within: float,
    p_permutation: NDArray[np.float64],
) -> list[dict[str, object]]:
    from scipy.stats import f as f_distribution

    observations = int(design.counts.sum())
    residual = observations - len(design.counts)
    error = within / residual if residual else np.nan
    reason = ""
    if not residual:
        reason = "one observation per cell: no residual to test against"
    elif within == 0:
        reason = "all cells constant: no residual to test against"
    lines: list[dict[str, object]] = []
    for i, effect in enumerate(design.effects):
        df, ss = int(degrees[i]), float(between[i])
        line: dict[str, object] = {
            "effect": ":".join(factors[j] for j in effect),
            "df": df,
            "sum_sq": ss if df else np.nan,
            "mean_sq": ss / df if df else np.nan,
            "note": _note(design, effect, df) or reason,
        }
        if df and not reason:
            ratio = ss / df / error
            line |= {
                "F": ratio,
                "p": float(f_distribution.sf(ratio, df, residual)),
                "eta_sq_partial": ss / (ss + within),
                "omega_sq_partial": (ss - df * error) / (ss + (observations - df) * error),
                "p_permutation": p_permutation[i],
            }
        lines.append(line)
    residual_line = {"effect": "residual", "df": residual, "sum_sq": within, "mean_sq": error}
    return [*lines, {**residual_line, "note": reason}]


def _note(design: Design, effect: Effect, df: int) -> str:
    if any(design.sizes[factor] == 1 for factor in effect):
        return "one level only: no effect to estimate"
    if not df:
        return f"{counted(design.empty, 'empty cell')}: no degrees of freedom left"
    full = int(np.prod([design.sizes[factor] - 1 for factor in effect]))
    if df < full:
        return f"{counted(design.empty, 'empty cell')}: {df} of {full} degrees of freedom"
    return ""


def _constant_within(design: Design, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    low = np.minimum.reduceat(values, design.starts, axis=0)
    high = np.maximum.reduceat(values, design.starts, axis=0)
    constant: NDArray[np.bool_] = (low == high).all(axis=0)
    return constant


def _table(response: str, lines: Sequence[dict[str, object]]) -> pd.DataFrame:
    return tabulate(lines, COLUMNS).assign(response=response, type="II")
