"""Data frames of trials, as a notebook has them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from resilience.analysis.read.draws import draws_of
from resilience.analysis.read.selection import select
from resilience.analysis.read.table import (
    GOLDEN_COLUMNS,
    golden_rows,
    observations_of,
    with_increase,
)
from resilience.analysis.tables import Observations, UnfitObservationsError
from resilience.results.metrics_table import ERROR_INCREASE

DRAWS = "draws"
"""Attribute of a frame of trials (`DataFrame.attrs`) that may hold the table of their draws."""


class AttachedTable:
    """A table among the attributes of another one.

    pandas copies attributes with every operation and compares them to combine frames: this one is
    shared by all copies, and equal to itself alone.

    Attributes
    ----------
    table
        A data frame.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def __deepcopy__(self, memo: object) -> "AttachedTable":
        return self


def frame_of(observations: Observations) -> pd.DataFrame:
    """The trials of observations as a data frame, which carries their draws along."""
    frame = observations.trials.copy(deep=False)
    frame.attrs[DRAWS] = AttachedTable(observations.draws)
    return frame


def read_frame(
    frame: pd.DataFrame, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Observations of a data frame with one row per observation; the frame is not changed.

    Without `response` or `factors` the frame needs the columns of `trials.csv`, of which `kind`,
    `campaign`, `error_increase` and the golden rows may be missing. `frame.attrs["draws"]` may
    hold a table of draws with the columns of `resilience.analysis.read.draws`.

    Raises
    ------
    UnfitObservationsError
        As `select` does, and if column names are not unique or the draws lack a column.
    """
    if not frame.columns.is_unique:
        raise UnfitObservationsError("the column names are not unique")
    attached = frame.attrs.get(DRAWS)
    draws = attached.table if isinstance(attached, AttachedTable) else attached
    rows = _plain(frame)
    if ERROR_INCREASE.name not in rows and {"top1_error", "golden_top1_error"} <= set(rows):
        rows = with_increase(rows)
    rows, problems = _with_golden(rows)
    provenance: dict[str, Any] = {}
    if "campaign" in rows and (names := set(rows["campaign"].dropna().astype(str)) - {""}):
        provenance["campaigns"] = sorted(names)
    if draws is not None and len(draws):
        draws = draws_of(draws)
        provenance["draws"] = len(draws)
    return select(observations_of(rows, provenance, problems, draws), response, factors)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy of a frame, numbered, with values for categories and numbers for objects."""
    rows = frame.copy(deep=False)
    rows.attrs = {}  # pandas compares attributes to combine them, which fails for tables
    categories = {
        name: column.cat.categories.dtype
        for name, column in rows.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return rows.reset_index(drop=True).astype(categories).infer_objects()


def _with_golden(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """Put golden rows first, made from the golden columns, unless the frame has such rows."""
    needed = {"model", "dataset", "sites", *GOLDEN_COLUMNS}
    if not needed <= set(rows) or ("kind" in rows and (rows["kind"] == "golden").any()):
        return rows, []
    absent = {"kind": "trial", "campaign": ""}
    rows = rows.assign(**{name: value for name, value in absent.items() if name not in rows})
    known = rows.dropna(subset=["model", "dataset"])
    if known.empty:
        return rows, []
    golden, problems = golden_rows(known)
    return pd.concat([golden.reindex(columns=rows.columns), rows], ignore_index=True), problems
