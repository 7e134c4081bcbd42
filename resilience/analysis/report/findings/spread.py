"""Findings on spread: whether variances are equal over the rates."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from resilience.analysis.report.document import Finding
from resilience.analysis.tables import (
    Analysis,
    Layout,
    listing,
    number_text,
    p_text,
    rows_of,
    short_exponents,
)

Stratum = tuple[str, dict[str, Any]]  # name in sentences, and its row of each test


def spread(analysis: Analysis, layout: Layout) -> Iterator[Finding]:
    """Whether equal variances are rejected, for each model.

    Brown-Forsythe comes first, and Bartlett last, with the check of the normality that it assumes.
    Perturbations pooled without centring have a separate finding at the end.
    """
    response = analysis.responses[0]
    tests, deviations = (
        layout.table(table[table["response"] == response])
        for table in (analysis.variances, analysis.sd_intervals)
    )
    for model in layout.models:
        strata = _strata(tests[tests["model"] == model], layout)
        if strata:
            subject = f"{model}: equal" if model else "Equal"
            yield Finding(
                f"{subject} variances over the {layout.plurals[1]} are {_verdicts(strata)}.",
                f"{_change(deviations[deviations['model'] == model], layout)}"
                f"Multiple-comparisons test: {_values(strata, 'banga_fox')}. "
                f"Bartlett's test: {_values(strata, 'bartlett')}"
                f"{_normality(analysis, layout, model)}.",
            )
    if len(layout.perturbs) > 1:
        yield from _pooled(tests, layout)


def power(analysis: Analysis) -> Iterator[Finding]:
    """Smallest differences that this number of trials detects."""
    checks = analysis.assumptions
    known = checks[(checks["response"] == analysis.responses[0]) & checks["value"].notna()]
    ratios, effects = (
        [
            f"{number_text(row.value, 2)} ({row.subject})"
            for row in rows_of(known[known["check"] == check])
        ]
        for check in ("detectable_sd_ratio", "detectable_f")
    )
    if ratios:
        yield Finding(
            "Not rejected does not mean equal. The smallest ratios of one standard deviation to "
            f"the others that Brown-Forsythe detects with a power of 80 %: {listing(ratios)}."
        )
    if effects:
        yield Finding(
            "The smallest effects on the mean (Cohen's f) that the F test detects with a power of "
            f"80 %: {listing(effects)}."
        )


def _strata(tests: pd.DataFrame, layout: Layout) -> list[Stratum]:
    """Each perturbation separately, then pooled after centring; a single stratum has no name."""

    def by_test(rows: pd.DataFrame) -> dict[str, Any]:
        return {row.test: row for row in rows_of(rows)}

    centred = by_test(tests[tests["grouping"] == "centred"])
    if len(layout.perturbs) < 2:
        return [("", centred)] if centred else []
    alone = tests[tests["grouping"] == "per_perturb"]
    strata = [(f"for {name}", by_test(alone[alone["perturb"] == name])) for name in layout.perturbs]
    return [(name, rows) for name, rows in [*strata, ("pooled after centring", centred)] if rows]


def _verdicts(strata: Sequence[Stratum]) -> str:
    """`not rejected, Brown-Forsythe p = 0.41`, for one or several strata."""
    texts = []
    for name, rows in strata:
        row = rows["brown_forsythe"]
        where = f" {name}" if name else ""
        if math.isnan(row.p):
            texts.append(f"not testable{where} ({short_exponents(row.note)})")
            continue
        value = f"{'' if texts else 'Brown-Forsythe '}{p_text(row.p)}"
        texts.append(f"{row.decision}{where} ({value})" if name else f"{row.decision}, {value}")
    return listing(texts)


def _values(strata: Sequence[Stratum], test: str) -> str:
    return ", ".join(
        f"{p_text(rows[test].p)} {name}".strip() for name, rows in strata if test in rows
    )


def _change(deviations: pd.DataFrame, layout: Layout) -> str:
    """Change of the standard deviation, cells centred, from the first to the last rate."""
    centred = deviations[deviations["grouping"] == "centred"]
    sd = centred.drop_duplicates("frate").set_index("frate")["sd"].dropna()
    first, last = layout.rates[0], layout.rates[-1]
    if first == last or not {first, last} <= set(sd.index):
        return ""
    what = "Standard deviation" + (" after centring" if len(layout.perturbs) > 1 else "")
    return (
        f"{what}: {number_text(sd[first])} {layout.at(first)}, "
        f"{number_text(sd[last])} {layout.at(last)}. "
    )


def _normality(analysis: Analysis, layout: Layout, model: str) -> str:
    """Whether the residuals of a model are normal, as Bartlett's test assumes."""
    checks = analysis.assumptions
    own = checks[
        (checks["check"] == "shapiro_residuals") & (checks["response"] == analysis.responses[0])
    ]
    found: dict[str, float] = dict(zip(own["subject"], own["p"], strict=True))
    p = found.get(f"{layout.names[0]}={model}", found.get("all", math.nan))
    if math.isnan(p):
        return ""
    verdict = "rejected, so it is unreliable" if p <= analysis.alpha else "not rejected"
    return f"; the normality that it assumes is {verdict} (Shapiro-Wilk {p_text(p)})"


def _pooled(tests: pd.DataFrame, layout: Layout) -> Iterator[Finding]:
    rows = tests[(tests["grouping"] == "pooled") & (tests["test"] == "brown_forsythe")]
    values = [f"{row.model} {p_text(row.p)}".strip() for row in rows_of(rows)]
    if values:
        yield Finding(
            f"With the {layout.plurals[2]} pooled without centring, Brown-Forsythe gives "
            f"{listing(values)}.",
            "This is one interpretation of the publication. It counts differences between the "
            f"{layout.plurals[2]} as spread and says little about equal variances.",
        )
