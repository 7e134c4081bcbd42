"""A report as one self-contained HTML file, with styles, script and images inside."""

import base64
import math
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from resilience.analysis.figures import Plate
from resilience.analysis.report.document import Bullets, Document, Grid

LONGEST_TABLE = 2000  # rows; readers of a longer table are referred to its CSV file
LONGEST_PRINT = 80  # rows; the same for a table on paper


class Cell(NamedTuple):
    """An entry or a heading of a table; `value` is the unrounded number that sorts it."""

    text: str
    number: bool
    value: str = ""


def to_html(document: Document) -> str:
    """Render a report as HTML, with all text escaped."""
    here = resources.files("resilience.analysis.report")
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            document=document,
            style=Markup((here / "report.css").read_text(encoding="utf-8")),
            script=Markup((here / "report.js").read_text(encoding="utf-8")),
            longest_table=LONGEST_TABLE,
            longest_print=LONGEST_PRINT,
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("resilience.analysis", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.tests |= {
        "figure": lambda block: isinstance(block, Plate),
        "table": lambda block: isinstance(block, Grid),
        "bullets": lambda block: isinstance(block, Bullets),
    }
    made.filters |= {"cells": _cells, "headings": _headings, "image": _image, "unbroken": _unbroken}
    return made


def _unbroken(text: str) -> Markup:
    """Escape a text and keep `p = 0.41` on one line."""
    parts = re.split(r"(\b\w+ [=<>] [-\d.e]+)", text)
    kept = Markup('<span class="unbroken">{}</span>')
    return Markup().join(
        kept.format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _image(plate: Plate) -> str:
    return base64.b64encode(plate.svg.read_bytes()).decode()


def _headings(grid: Grid) -> list[Cell]:
    return [
        Cell(str(column), pd.api.types.is_numeric_dtype(grid.rows[column]))
        for column in grid.rows.columns
    ]


def _cells(grid: Grid) -> Iterator[list[Cell]]:
    """Rows of a table, entry by entry."""
    numeric = [heading.number for heading in _headings(grid)]
    for row in grid.rows.itertuples(index=False, name=None):
        yield list(map(_cell, grid.texts(row), numeric, row))


def _cell(text: str, number: bool, value: object) -> Cell:
    known = number and isinstance(value, int | float) and math.isfinite(value)
    return Cell(text, number, repr(value) if known else "")
