"""What was found, in sentences made from the numbers of an analysis."""

from collections.abc import Iterator
from dataclasses import dataclass

from resilience.analysis.report.document import Finding
from resilience.analysis.report.findings_means import agreement, means
from resilience.analysis.report.findings_spread import power, spread
from resilience.analysis.report.findings_vulnerability import vulnerability
from resilience.analysis.tables.formatting import counted, listing
from resilience.analysis.tables.layout import Layout, layout_of
from resilience.analysis.tables.model import COUNTED_ROLES, ROLES, Analysis


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of layers and bits, of spread, of means, where tests disagree, and the limits.

    Attributes
    ----------
    vulnerability
        Empty unless there are layers or bits to compare.
    """

    vulnerability: tuple[Finding, ...]
    spread: tuple[Finding, ...]
    means: tuple[Finding, ...]
    agreement: tuple[Finding, ...]
    caution: tuple[Finding, ...]

    @property
    def headlines(self) -> tuple[Finding, ...]:
        """What a command says when an analysis is done."""
        return (*self.vulnerability, *self.spread, *self.means)


def find(analysis: Analysis) -> Findings:
    """Say what an analysis found."""
    layout = layout_of(analysis)
    return Findings(
        vulnerability=tuple(vulnerability(analysis, layout)),
        spread=() if layout.one_rate else tuple(spread(analysis, layout)),
        means=tuple(means(analysis, layout)),
        agreement=() if layout.one_cell else tuple(agreement(analysis)),
        caution=tuple(_caution(analysis, layout)),
    )


def what_was_analysed(analysis: Analysis) -> str:
    """Say in one line how many trials of what there are."""
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
            "The p values speak of fault draws on these weights and these images.",
            "Other weights of the same architecture, or other images, are other experiments.",
        )
    if not layout.one_cell:
        yield from power(analysis)
    kinds = analysis.problems["kind"].value_counts(sort=False)
    if len(kinds):
        each = listing([f"{count} {kind}" for kind, count in kinds.items()])
        yield Finding(f"Not everything is there and in order: {each}; the last section lists it.")
    notes = analysis.descriptives["note"]
    degenerate = int(((notes != "") & notes.notna()).sum())
    if degenerate:
        rows = counted(degenerate, "row")
        yield Finding(f"Degenerate groups: {rows} of the descriptive table with a note.")
    yield Finding(
        f"Tests decide at the level {analysis.alpha:g}, each by itself unless called adjusted."
    )
