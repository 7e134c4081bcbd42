"""All findings of an analysis, by subject."""

from collections.abc import Iterator
from dataclasses import dataclass

from resilience.analysis.report.document import Finding
from resilience.analysis.report.findings.means import agreement, means
from resilience.analysis.report.findings.spread import power, spread
from resilience.analysis.report.findings.vulnerability import vulnerability
from resilience.analysis.tables import (
    COUNTED_ROLES,
    ROLES,
    Analysis,
    Layout,
    counted,
    layout_of,
    listing,
)


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings by subject.

    Attributes
    ----------
    vulnerability
        On layers and bits; empty unless there are two to compare.
    spread, means
        On standard deviations and on means.
    agreement
        Effects on which the tests disagree.
    caution
        Limitations.
    """

    vulnerability: tuple[Finding, ...]
    spread: tuple[Finding, ...]
    means: tuple[Finding, ...]
    agreement: tuple[Finding, ...]
    caution: tuple[Finding, ...]

    @property
    def headlines(self) -> tuple[Finding, ...]:
        """Findings that a command prints after an analysis."""
        return (*self.vulnerability, *self.spread, *self.means)


def find(analysis: Analysis) -> Findings:
    """Findings of an analysis."""
    layout = layout_of(analysis)
    return Findings(
        vulnerability=tuple(vulnerability(analysis, layout)),
        spread=() if layout.one_rate else tuple(spread(analysis, layout)),
        means=tuple(means(analysis, layout)),
        agreement=() if layout.one_cell else tuple(agreement(analysis)),
        caution=tuple(_caution(analysis, layout)),
    )


def what_was_analysed(analysis: Analysis) -> str:
    """One line on the number of trials and the levels of the design."""
    layout = layout_of(analysis)
    levels = (layout.models, layout.rates, layout.perturbs)
    crossing = [
        f"{len(present)} {plural if len(present) > 1 else title.partition(' (')[0]}"
        for present, title, plural in zip(levels, layout.titles, layout.plurals, strict=True)
        if title
    ]
    golden = len(layout.golden_runs)
    runs = f" and {counted(golden, 'golden run')}" if golden else ""
    draws = analysis.provenance.get("draws", 0)
    drawn = f" with {draws:,} draws of faults" if draws > len(layout.trials) else ""
    return f"{counted(len(layout.trials), 'trial')}{drawn}{runs}: {listing(crossing)}"


def _caution(analysis: Analysis, layout: Layout) -> Iterator[Finding]:
    if analysis.factors in (ROLES, COUNTED_ROLES):
        yield Finding(
            "The p-values refer to random faults in these weights, evaluated on these images.",
            "They say nothing about other weights of the same architecture, or other images.",
        )
    if not layout.one_cell:
        yield from power(analysis)
    kinds = analysis.problems["kind"].value_counts(sort=False)
    if len(kinds):
        each = listing([f"{count} {kind}" for kind, count in kinds.items()])
        yield Finding(f"The data have problems: {each}; see the last section.")
    notes = analysis.descriptives["note"]
    degenerate = int(((notes != "") & notes.notna()).sum())
    if degenerate:
        rows = counted(degenerate, "row")
        yield Finding(
            f"Some groups are degenerate: {rows} of the descriptive statistics with a note."
        )
    yield Finding(
        f"All tests use the level {analysis.alpha:g}, without adjustment unless stated otherwise."
    )
