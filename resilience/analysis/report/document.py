"""A report before it is HTML or Markdown: sections of paragraphs, lists, tables and figures."""

from dataclasses import dataclass

import pandas as pd

from resilience.analysis.figures.appearance import Plate
from resilience.analysis.tables.formatting import cell_text, level_text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: the claim, and the figures behind it."""

    claim: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """Findings under a heading."""

    heading: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table to read: the name of its file without `.csv`, what it is, its rows.

    Numbers are rounded for reading, but for those of the exact columns.
    """

    name: str
    caption: str
    rows: pd.DataFrame
    exact: tuple[str, ...] = ()

    def texts(self, row: tuple[object, ...]) -> list[str]:
        """Write the entries of one row as they are read."""
        return [
            level_text(value) if column in self.exact else cell_text(column, value)
            for column, value in zip(self.rows.columns, row, strict=True)
        ]


Block = str | Bullets | Grid | Plate


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the report; the anchor names it in links."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report: its title, one line on what was analysed, and its sections."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
