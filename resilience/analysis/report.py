"""The report of an analysis: what was found, figures, tables, and where it all comes from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resilience.analysis.appearance import Plate
from resilience.analysis.document import Block, Bullets, Document, Grid, Section
from resilience.analysis.findings import Findings, find, what_was_analysed
from resilience.analysis.model import ROLES, Analysis
from resilience.analysis.publication import CHOICES, COLUMNS, PUBLICATION
from resilience.analysis.report_html import to_html
from resilience.analysis.report_markdown import to_markdown
from resilience.files import replacing

CAPTIONS = {
    "variances": "Tests for equal variances over the rates, per model.",
    "sd_intervals": "Intervals for the standard deviations. Those of the multiple-comparisons "
    "method are for comparing: where two do not overlap, the standard deviations differ.",
    "descriptives": "Descriptive statistics, by model and rate and by full cell.",
    "anova": "Analysis of variance, full factorial model, type II.",
    "anova_oneway": "One-way tests among models at each rate, and among rates for each model.",
    "posthoc": "Pairs of groups, and every cell against golden.",
    "assumptions": "Normality of residuals, ratio of standard deviations, and power.",
    "trials": "All trials and golden runs.",
}


def write_report(analysis: Analysis, figures: Sequence[Plate], directory: Path) -> Path:
    """Write `report.html` and `report.md`; return the path of the former.

    The HTML file holds its figures; the Markdown file links those below the directory.
    """
    document = compose(analysis, figures)
    html = directory / "report.html"
    for path, text in (
        (html, to_html(document)),
        (directory / "report.md", to_markdown(document, directory)),
    ):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return html


def compose(analysis: Analysis, figures: Sequence[Plate]) -> Document:
    """Put a report together."""
    sections = [
        Section("findings", "What was found", tuple(_bullets(find(analysis)))),
        Section("figures", "Figures", tuple(figures)),
        Section("tables", "Tables", tuple(_tables(analysis))),
        Section("provenance", "Provenance", _provenance(analysis)),
    ]
    if analysis.factors == ROLES:
        choices = pd.DataFrame(CHOICES, columns=list(COLUMNS))
        grid = Grid("choices", f"{PUBLICATION}.", choices)
        sections.append(Section("open", "What the publication leaves open", (grid,)))
    sections.append(Section("missing", "Missing, failed and damaged", _problems(analysis)))
    names = analysis.provenance.get("campaigns") or [analysis.provenance.get("file", "a table")]
    title = f"Resilience: {', '.join(map(str, names))}"
    return Document(title, f"{what_was_analysed(analysis)}.", tuple(sections))


def _bullets(findings: Findings) -> Iterator[Bullets]:
    for heading, found in (
        ("Spread", findings.spread),
        ("Means", findings.means),
        ("Do the tests agree?", findings.agreement),
        ("How far this reaches", findings.caution),
    ):
        if found:
            yield Bullets(heading, found)


def _tables(analysis: Analysis) -> Iterator[Block]:
    yield "A heading sorts its table. Columns without entries are left out; the CSV files have all."
    for name, caption in CAPTIONS.items():
        rows = analysis.tables[name]
        if rows.empty:
            yield f"{caption} There are none."
            continue
        said = rows.map(lambda value: not pd.isna(value) and value != "").any()
        yield Grid(name, caption, rows.loc[:, said], analysis.factors)


def _provenance(analysis: Analysis) -> tuple[Block, ...]:
    entries = [
        ("responses", ", ".join(analysis.responses)),
        ("factors", ", ".join(analysis.factors)),
        ("alpha", f"{analysis.alpha:g}"),
        ("seed of permutations and simulations", str(analysis.seed)),
        *(
            (name, ", ".join(map(str, analysis.trials[name].unique())))
            for name in ("dataset", "sites")
            if name in analysis.trials
        ),
        *_flat(analysis.provenance),
    ]
    rows = pd.DataFrame(entries, columns=["entry", "value"])
    return (Grid("provenance_entries", "Where the numbers come from.", rows),)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Write nested mappings as dotted names, and lists as one text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and len(value) == 1:
        yield from _flat(value[0], name)
    elif isinstance(value, list | tuple):
        yield name, "; ".join(_plain(inner) for inner in value)
    else:
        yield name, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return "none" if value is None else str(value)


def _problems(analysis: Analysis) -> tuple[Block, ...]:
    if analysis.problems.empty:
        return ("Nothing is missing, nothing failed, and every result is whole.",)
    return (Grid("problems", "What the analysis had to do without.", analysis.problems),)
