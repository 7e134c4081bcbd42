"""Assembling a report: findings, figures, tables and provenance."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resilience.analysis.figures import VULNERABILITY, Plate
from resilience.analysis.report.document import Block, Bullets, Document, Finding, Grid, Section
from resilience.analysis.report.findings import Findings, find, what_was_analysed
from resilience.analysis.report.html import to_html
from resilience.analysis.report.markdown import to_markdown
from resilience.analysis.report.publication import CHOICES, COLUMNS, PUBLICATION
from resilience.analysis.risk import SUBJECT
from resilience.analysis.tables import OPTIONAL, ROLES, Analysis, layout_of
from resilience.system.atomic import replacing

RANKED = {
    "vulnerability_layers": "Layers, the most vulnerable first",
    "vulnerability_bits": "Bits, the most vulnerable first",
}
CAPTIONS = {
    "variances": "Tests for equal variances over the levels, for each group.",
    "sd_intervals": "Intervals of the standard deviations. Those of the multiple-comparisons "
    "method are for comparison: if two do not overlap, the standard deviations differ.",
    "descriptives": "Descriptive statistics, by model and rate and by full cell.",
    "anova": "Analysis of variance of the full factorial model, type II sums of squares.",
    "anova_oneway": "One-way tests among models at each rate, and among rates for each model.",
    "posthoc": "Pairs of groups, and every cell against golden.",
    "assumptions": "Normality of residuals, ratios of standard deviations, and power.",
    "trials": "All trials and golden runs.",
    "vulnerability_layers_bits": "Every bit of every layer.",
}
OF_SEVERAL_RATES = ("variances", "sd_intervals")
OF_SEVERAL_CELLS = (*OF_SEVERAL_RATES, "anova", "anova_oneway", "assumptions")
"""Tables that compare several levels, or several cells."""


def write_report(analysis: Analysis, figures: Sequence[Plate], directory: Path) -> Path:
    """Write `report.html` and `report.md`; give the path of the former.

    The HTML file contains its figures; the Markdown file links to those below the directory.
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
    """Report of an analysis, with the given figures."""
    found = find(analysis)
    leading = [plate for plate in figures if VULNERABILITY.fullmatch(plate.name)]
    ranked = tuple(_ranked(analysis))
    lead = Section(
        "vulnerability",
        "Which layer, which bit",
        (*_bullets({"What was found": found.vulnerability}), *leading, *ranked),
    )
    sections = [
        *([lead] if ranked else []),
        Section(
            "findings",
            "What the tests found" if ranked else "What was found",
            tuple(_bullets(_of_tests(found))),
        ),
        Section("figures", "Figures", tuple(plate for plate in figures if plate not in leading)),
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


def _of_tests(findings: Findings) -> dict[str, tuple[Finding, ...]]:
    return {
        "Spread": findings.spread,
        "Means": findings.means,
        "Agreement of the tests": findings.agreement,
        "Limitations": findings.caution,
    }


def _bullets(findings: Mapping[str, tuple[Finding, ...]]) -> Iterator[Bullets]:
    for heading, found in findings.items():
        if found:
            yield Bullets(heading, found)


def _ranked(analysis: Analysis) -> Iterator[Grid]:
    """The tables of layers and bits, sorted by rank within each network."""
    for name, caption in RANKED.items():
        rows = analysis.tables.get(name)
        if rows is not None:
            ordered = rows.sort_values([*SUBJECT, "rank"], kind="stable", ignore_index=True)
            shown = _with_entries(ordered)
            same = [name for name in SUBJECT if len(shown[name].unique()) == 1]
            shown = shown.drop(columns=same)
            shown.insert(0, "rank", shown.pop("rank"))
            values = ", ".join(str(rows[name].iloc[0]) for name in same)
            yield Grid(name, f"{caption}{f' ({values})' if values else ''}.", shown)


def _with_entries(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without the columns that have no entries."""
    filled = rows.map(lambda value: not pd.isna(value) and value != "").any()
    return rows.loc[:, filled]


def _tables(analysis: Analysis) -> Iterator[Block]:
    yield (
        "Click on a heading to sort its table. Columns without entries are omitted here; the CSV "
        "files have all columns."
    )
    layout = layout_of(analysis)
    idle = OF_SEVERAL_CELLS if layout.one_cell else OF_SEVERAL_RATES if layout.one_rate else ()
    for name, caption in CAPTIONS.items():
        if name not in analysis.tables or name in idle:
            continue
        rows = analysis.tables[name]
        if rows.empty:
            yield f"{caption} This table is empty."
            continue
        yield Grid(name, caption, _with_entries(rows), analysis.factors)


def _provenance(analysis: Analysis) -> tuple[Block, ...]:
    entries = [
        ("responses", ", ".join(analysis.responses)),
        ("factors", ", ".join(analysis.factors)),
        ("alpha", f"{analysis.alpha:g}"),
        *([("critical", str(analysis.critical))] if analysis.tables.keys() & set(OPTIONAL) else []),
        ("seed of permutations, simulations and resampling", str(analysis.seed)),
        *(
            (name, ", ".join(map(str, analysis.trials[name].unique())))
            for name in ("dataset", "sites")
            if name in analysis.trials
        ),
        *_flat(analysis.provenance),
    ]
    rows = pd.DataFrame(entries, columns=["entry", "value"])
    return (Grid("provenance_entries", "Origin of the numbers.", rows),)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Entries of nested mappings under dotted names, lists joined into one text."""
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
        return ("No trial is missing or failed, and no result is damaged.",)
    return (
        Grid(
            "problems",
            "Trials and results that are missing, failed, damaged, duplicated or mixed.",
            analysis.problems,
        ),
    )
