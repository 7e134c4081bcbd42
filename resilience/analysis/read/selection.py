"""Choice of responses and factors, and the rows that have no value for them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from resilience.analysis.means import summary
from resilience.analysis.spread import equal_variances, intervals
from resilience.analysis.tables import (
    COUNTED_ROLES,
    PROBLEM_COLUMNS,
    ROLES,
    Observations,
    UnfitObservationsError,
    counted,
)

RESERVED = frozenset((*summary.COLUMNS, *intervals.COLUMNS, *equal_variances.COLUMNS))
"""Columns of the tables that also have columns named after the factors."""


def select(
    observations: Observations, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Choose a response or factors; rows without a value are excluded, and listed as problems.

    Raises
    ------
    UnfitObservationsError
        If there are not one to three distinct factors, a column is missing or has a reserved name,
        or a response is not numeric, not finite, or also a factor.
    """
    chosen = tuple(factors) if factors is not None else observations.factors
    responses = (response,) if response is not None else observations.responses
    rows = observations.trials
    _refuse(rows, responses, chosen)
    golden = rows["kind"] == "golden" if "kind" in rows else pd.Series(False, index=rows.index)
    nameless = rows[list(chosen)].isna().any(axis=1) & ~golden
    uncompared = nameless & _with_count(rows) if "frate" in chosen else nameless & False
    lacking = {f"a factor ({', '.join(chosen)})": nameless & ~uncompared} | {
        f"the response {name}": rows[name].isna() & ~golden & ~nameless for name in responses
    }
    problems = [
        ("", "missing", f"{counted(count, 'row')} without a value of {what}")
        for what, count in ((what, int(rows.sum())) for what, rows in lacking.items())
        if count
    ]
    if uncompared.any():
        which = f"{int(uncompared.sum())} trials with an exact number of faults"
        problems.append(
            ("", "mixed", f"{which} are excluded from the tests, because the others have a rate")
        )
    return replace(
        observations,
        factors=chosen,
        responses=responses,
        problems=pd.concat(
            [observations.problems, problem_table(problems)], ignore_index=True
        ).drop_duplicates(ignore_index=True),
    )


def _with_count(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Mark trials that have an exact number of faults instead of a rate."""
    if not {"frate", "faults"} <= set(rows):
        return pd.Series(False, index=rows.index)
    return rows["frate"].isna() & rows["faults"].notna()


def roles_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Factors of a campaign, given its rows with or without golden runs."""
    if not _with_count(rows).any() or (rows["frate"].notna() & (rows["frate"] != 0)).any():
        return ROLES
    return COUNTED_ROLES


def _refuse(rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str]) -> None:
    """Raise an error for columns that cannot be analysed."""
    if not 1 <= len(factors) <= 3 or len(set(factors)) < len(factors):
        raise UnfitObservationsError(f"one to three distinct factors are needed, got {factors}")
    absent = [name for name in (*responses, *factors) if name not in rows]
    if absent:
        known = ", ".join(map(str, rows.columns))
        raise UnfitObservationsError(f"no column {absent[0]!r}; the columns are: {known}")
    for name in responses:
        if name in factors:
            raise UnfitObservationsError(f"{name!r} cannot be both response and factor")
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise UnfitObservationsError(f"the response {name!r} is not numeric")
        if np.isinf(rows[name].astype(float)).any():
            raise UnfitObservationsError(f"the response {name!r} has infinite values")
    taken = [n for n in factors if n in RESERVED] + [n for n in responses if n in ROLES]
    if taken:
        raise UnfitObservationsError(
            f"the column {taken[0]!r} has a name that the analysis reserves; rename it"
        )


def problem_table(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Table of problems: path, kind and reason."""
    return pd.DataFrame(rows, columns=list(PROBLEM_COLUMNS), dtype=object)
