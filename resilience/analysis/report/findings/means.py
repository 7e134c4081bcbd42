"""Findings on means: growth with the rate, effects, and disagreement between tests."""

import math
from collections.abc import Iterator

from resilience.analysis.report.document import Finding
from resilience.analysis.tables import (
    Analysis,
    Layout,
    listing,
    number_text,
    p_text,
    rows_of,
    short_exponents,
    title_of,
)

MANY = 8  # models; of more, only the extremes are reported
LOGIT = "_logit"
ONE_CELL = (
    "All trials belong to one cell of the design, so analysis of variance and tests for equal "
    "variances have nothing to compare, and are left out."
)


def means(analysis: Analysis, layout: Layout) -> Iterator[Finding]:
    """Growth of the response with the rate, differences from golden, and effects."""
    yield from _growth(analysis, layout)
    yield from _against_golden(analysis)
    if layout.one_cell:
        yield Finding(ONE_CELL)
        return
    if layout.one_rate:
        where = layout.at(layout.rates[0])
        yield Finding(f"All trials were run {where}, so there are no variances to compare.")
    for response in reversed(analysis.responses):  # the one that measures resilience first
        yield from _effects(analysis, response)


def agreement(analysis: Analysis) -> Iterator[Finding]:
    """Effects on which F test, permutation test and F test on the logit disagree."""
    table, alpha = analysis.anova, analysis.alpha
    for response in analysis.responses:
        own = table[(table["response"] == response) & table["p"].notna()]
        logit = table[table["response"] == response + LOGIT].set_index("effect")["p"]
        methods = "F, permutation and F on the logit" if len(logit) else "F and permutation"
        apart = []
        for row in rows_of(own):
            values = {
                "F": float(row.p),
                "permutation": float(row.p_permutation),
                "F on the logit": float(logit.get(row.effect, math.nan)),
            }
            known = {name: p for name, p in values.items() if not math.isnan(p)}
            if len({p <= alpha for p in known.values()}) > 1:
                each = ", ".join(f"{name} {p_text(p)}" for name, p in known.items())
                apart.append(f"{row.effect} ({each})")
        if apart:
            yield Finding(f"{title_of(response)}: the tests disagree about {listing(apart)}.")
        elif len(own):
            yield Finding(f"{title_of(response)}: {methods} agree on every effect.")


def _growth(analysis: Analysis, layout: Layout) -> Iterator[Finding]:
    response = analysis.responses[0]
    table = layout.table(analysis.descriptives)
    table = table[(table["response"] == response) & (table["grouping"] == "model_frate")]
    golden = layout.golden(response)
    rises = []
    for model in layout.models:
        own = table[table["model"] == model].set_index("frate")["mean"]
        steps = [(layout.at(rate), float(own[rate])) for rate in layout.rates if rate in own.index]
        if model in golden:
            steps.insert(0, ("(golden)", golden[model]))
        if len(steps) > 1:
            rises.append((steps[-1][1] - steps[0][1], model, steps))
    if len(rises) > MANY:
        rises = [min(rises), max(rises)]
    for rise, model, steps in rises:
        shown = steps if len(steps) <= 5 else [steps[0], steps[-1]]
        path = ", ".join(f"{number_text(mean)} {where}" for where, mean in shown)
        subject = f"{model}: mean" if model else "Mean"
        sign = "+" if rise >= 0 else ""
        yield Finding(
            f"{subject} {title_of(response).lower()} is {path}: "
            f"{sign}{number_text(rise, 2)} overall."
        )


def _against_golden(analysis: Analysis) -> Iterator[Finding]:
    """Number of cells that differ from golden, by t test and Wilcoxon's test."""
    posthoc = analysis.posthoc
    tested = {
        name: posthoc[(posthoc["test"] == name) & posthoc["p_adjusted"].notna()]
        for name in ("golden_t", "golden_wilcoxon")
    }
    cells = tested["golden_t"]
    if cells.empty:
        return
    differ = {name: int((rows["decision"] == "rejected").sum()) for name, rows in tested.items()}
    same = cells.loc[cells["decision"] != "rejected", "group_a"]
    which = (
        f"; no difference shown: {short_exponents('; '.join(same))}" if 0 < len(same) <= 6 else ""
    )
    yield Finding(
        f"The means of {differ['golden_t']} of {len(cells)} cells differ from golden "
        f"(one-sample t, Holm-adjusted){which}. By Wilcoxon's test, "
        f"{differ['golden_wilcoxon']} of {len(tested['golden_wilcoxon'])} do."
    )


def _effects(analysis: Analysis, response: str) -> Iterator[Finding]:
    table = analysis.anova
    own = table[(table["response"] == response) & table["F"].notna()]
    if own.empty:
        notes = table.loc[(table["response"] == response) & (table["note"] != ""), "note"]
        reason = f": {notes.iloc[0]}" if len(notes) else ""
        yield Finding(f"{title_of(response)}: no analysis of variance is possible{reason}.")
        return
    residual = table[(table["response"] == response) & (table["effect"] == "residual")]["df"]
    within = int(residual.iloc[0])
    shown = listing(own.loc[own["p"] <= analysis.alpha, "effect"].tolist())
    hidden = listing(own.loc[own["p"] > analysis.alpha, "effect"].tolist())
    parts = [f"effects of {shown}"] if shown else []
    parts += [f"no effect shown for {hidden}"] if hidden else []
    yield Finding(
        f"{title_of(response)}, analysis of variance: {'; '.join(parts)}.",
        "; ".join(
            f"{row.effect} F({int(row.df)}, {within}) = {number_text(row.F)}, {p_text(row.p)}, "
            f"partial ω² = {number_text(row.omega_sq_partial, 2)}"
            for row in rows_of(own)
        )
        + ".",
    )
