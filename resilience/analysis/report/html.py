"""A report as one HTML file that needs nothing else: styles, script and images are inside."""

import base64
import html
import math
import re
from importlib import resources
from string import Template

import pandas as pd

from resilience.analysis.figures.appearance import Plate
from resilience.analysis.report.document import Block, Bullets, Document, Finding, Grid, Section

LONGEST_TABLE = 2000  # rows; a longer table is left to its CSV file
LONGEST_PRINT = 80  # rows; on paper, a longer table is left to its CSV file


def to_html(document: Document) -> str:
    """Render a report; all texts are escaped."""
    here = resources.files("resilience.analysis.report")
    return Template((here / "report.html.in").read_text(encoding="utf-8")).substitute(
        title=html.escape(document.title),
        subtitle=html.escape(document.subtitle),
        style=(here / "report.css").read_text(encoding="utf-8"),
        script=(here / "report.js").read_text(encoding="utf-8"),
        contents="\n".join(
            f'<li><a href="#{section.anchor}">{html.escape(section.title)}</a></li>'
            for section in document.sections
        ),
        sections="\n".join(_section(section) for section in document.sections),
    )


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    title = html.escape(section.title)
    return f'<section id="{section.anchor}">\n<h2>{title}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    if isinstance(block, Plate):
        return _figure(block)
    if isinstance(block, Grid):
        return _table(block)
    if isinstance(block, Bullets):
        items = "\n".join(map(_finding, block.findings))
        return f"<h3>{html.escape(block.heading)}</h3>\n<ul>\n{items}\n</ul>"
    return f"<p>{html.escape(block)}</p>"


def _finding(finding: Finding) -> str:
    detail = f'<span class="detail">{_unbroken(finding.detail)}</span>' if finding.detail else ""
    return f"<li>{_unbroken(finding.claim)}{detail}</li>"


def _unbroken(text: str) -> str:
    """Escape a text and keep `p = 0.41` on one line."""
    return re.sub(r"\b\w+ (=|&lt;|&gt;) [-\d.e]+", r'<span class="unbroken">\g<0></span>',
                  html.escape(text, quote=False))  # fmt: skip


def _figure(plate: Plate) -> str:
    image = base64.b64encode(plate.svg.read_bytes()).decode()
    title, caption = html.escape(plate.title), html.escape(plate.caption)
    return (
        f'<figure id="{plate.name}">\n'
        f'<img alt="{title}. {caption}" src="data:image/svg+xml;base64,{image}">\n'
        f"<figcaption><strong>{title}.</strong> {caption}</figcaption>\n</figure>"
    )


def _table(grid: Grid) -> str:
    caption = html.escape(grid.caption)
    elsewhere = f"{caption} {len(grid.rows)} rows: see {html.escape(grid.name)}.csv."
    if len(grid.rows) > LONGEST_TABLE:
        return f"<p>{elsewhere}</p>"
    long = len(grid.rows) > LONGEST_PRINT
    on_paper = f'<p class="paper">{elsewhere}</p>\n' if long else ""
    columns = list(grid.rows.columns)
    numeric = [pd.api.types.is_numeric_dtype(grid.rows[column]) for column in columns]
    head = "".join(
        f'<th scope="col" aria-sort="none"{_class(number)}>'
        f'<button type="button">{html.escape(str(column))}</button></th>'
        for column, number in zip(columns, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(map(_cell, grid.texts(row), numeric, row)) + "</tr>"
        for row in grid.rows.itertuples(index=False, name=None)
    )
    frame = f'class="table{" screen" if long else ""}" tabindex="0" role="region"'
    return (
        f'{on_paper}<div {frame} aria-label="{caption}">\n'
        f'<table id="{html.escape(grid.name)}">\n<caption>{caption}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _cell(text: str, number: bool, value: object) -> str:
    text = html.escape(text)
    if not number:
        return f'<td class="wide">{text}</td>' if len(text) > 40 else f"<td>{text}</td>"
    # Sorted by the value itself, which rounding would tie.
    known = isinstance(value, int | float) and math.isfinite(value)
    data = f' data-value="{value!r}"' if known else ""
    return f'<td class="number"{data}>{text}</td>'
