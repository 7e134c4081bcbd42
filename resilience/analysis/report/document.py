"""The structure of a report, independent of HTML and Markdown."""

from dataclasses import dataclass

import pandas as pd

from resilience.analysis.figures import Plate
from resilience.analysis.tables import cell_text, level_text


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: the claim, and the numbers that support it."""

    claim: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """Findings under a heading."""

    heading: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the name of its CSV file without suffix, its caption, and its rows.

    Numbers are rounded, except in the exact columns.
    """

    name: str
    caption: str
    rows: pd.DataFrame
    exact: tuple[str, ...] = ()

    def texts(self, row: tuple[object, ...]) -> list[str]:
        """Entries of one row as text."""
        return [
            level_text(value) if column in self.exact else cell_text(column, value)
            for column, value in zip(self.rows.columns, row, strict=True)
        ]


Block = str | Bullets | Grid | Plate


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report; links refer to its anchor."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report: title, one line on what was analysed, and sections."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
