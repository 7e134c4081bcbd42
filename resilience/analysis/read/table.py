"""Campaigns and CSV files read into one tidy table."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resilience.analysis.means import descriptives
from resilience.analysis.read.draws import draws_table
from resilience.analysis.read.gathering import GOLDEN_FIGURES, Gathered, gather
from resilience.analysis.spread import intervals, variances
from resilience.analysis.tables.model import (
    COUNTED_ROLES,
    PROBLEM_COLUMNS,
    RESPONSES,
    ROLES,
    Observations,
    UnfitObservationsError,
)

COLUMNS = (
    *("kind", "campaign", "model", "dataset", "sites", "perturb", "frate", "faults"),
    *("seed", "replica", *GOLDEN_FIGURES, "masked_rate", "sdc_rate", "due_rate"),
    *("sdc5_rate", "sdc10pct_rate", "sdc20pct_rate", "changed_correct"),
    *(f"golden_{name}" for name in GOLDEN_FIGURES),
    "error_increase",
)
SOMETIMES = ("frate", "faults", "sdc5_rate", "sdc10pct_rate", "sdc20pct_rate", "changed_correct")
"""Columns that only some results have entries for."""
RESERVED = frozenset((*descriptives.COLUMNS, *intervals.COLUMNS, *variances.COLUMNS))
"""Columns of the tables that have columns of the factors too."""


def read_campaigns(paths: Sequence[Path]) -> Observations:
    """Observations of one or several campaign directories.

    A golden run (`frate` 0, one row per model and dataset) stands before the trials. `faults` is
    the exact number of faults of a trial that has one instead of a rate; it is the level where all
    trials have one, and where some have, these are in no test. What is damaged, failed, missing
    from the crossing, there twice, or pooled though it differs is listed in `problems`.

    Raises
    ------
    UnfitObservationsError
        If a path is no directory, holds no result, or the results differ in the weights of one
        model or in its images.
    """
    gathered = gather(paths)
    trials = _with_increase(pd.DataFrame(gathered.rows, columns=list(COLUMNS)))
    trials = trials.astype(dict.fromkeys(SOMETIMES, float))  # without any they are no numbers
    struck = trials[(trials["frate"] > 0) | (trials["faults"] > 0)].assign(kind="trial")
    golden, disagreeing = _golden_rows(trials)
    factors = _roles(struck)
    missing = _missing(struck, gathered, factors[1]) if len(struck) else []
    order = ["model", "dataset", "sites", "frate", "faults", "perturb", "seed", "replica"]
    order.append("campaign")
    rows = pd.concat([golden, struck.sort_values(order, kind="stable")], ignore_index=True)
    return Observations(
        trials=_typed(rows),
        factors=factors,
        responses=RESPONSES,
        problems=_problems([*gathered.problems, *missing, *disagreeing]),
        provenance=gathered.provenance,
        draws=draws_table(gathered.draws, gathered.orders),
    )


def read_csv(
    path: Path, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Observations of a CSV file with one row per observation; `trials.csv` is one.

    Without `response` it must have the columns of a campaign's responses, without `factors`
    those of its factors.

    Raises
    ------
    UnfitObservationsError
        As `select` does, and if the file is no table.
    """
    try:
        rows = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UnfitObservationsError(f"{path} can't be read as CSV: {error}") from error
    present = tuple(name for name in RESPONSES if name in rows)
    observations = Observations(
        trials=_typed(rows),
        factors=_roles(rows),
        responses=present or RESPONSES,
        problems=_problems([]),
        provenance={"file": path.name},
    )
    return select(observations, response, factors)


def select(
    observations: Observations, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Choose another response or other factors; rows that lack one are in no test, and listed.

    Raises
    ------
    UnfitObservationsError
        If there are not one to three distinct factors, a column is missing or has a name that the
        analysis needs, or a response isn't numeric and finite or is also a factor.
    """
    chosen = tuple(factors) if factors is not None else observations.factors
    responses = (response,) if response is not None else observations.responses
    rows = observations.trials
    _refuse(rows, responses, chosen)
    golden = rows["kind"] == "golden" if "kind" in rows else pd.Series(False, index=rows.index)
    nameless = rows[list(chosen)].isna().any(axis=1) & ~golden
    counted = nameless & _counted(rows) if "frate" in chosen else nameless & False
    lacking = {f"a factor ({', '.join(chosen)})": nameless & ~counted} | {
        f"the response {name}": rows[name].isna() & ~golden & ~nameless for name in responses
    }
    problems = [
        ("", "missing", f"{count} rows lack a value of {what}")
        for what, count in ((what, int(rows.sum())) for what, rows in lacking.items())
        if count
    ]
    if counted.any():
        which = f"{int(counted.sum())} trials with an exact number of faults"
        problems.append(("", "mixed", f"{which} are in no test: the others have a rate"))
    return replace(
        observations,
        factors=chosen,
        responses=responses,
        problems=pd.concat(
            [observations.problems, _problems(problems)], ignore_index=True
        ).drop_duplicates(ignore_index=True),
    )


def _counted(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Mark the trials of a campaign that have a number of faults instead of a rate."""
    if not {"frate", "faults"} <= set(rows):
        return pd.Series(False, index=rows.index)
    return rows["frate"].isna() & rows["faults"].notna()


def _roles(rows: pd.DataFrame) -> tuple[str, ...]:
    """Factors of a campaign, given its rows, golden runs among them or not."""
    if not _counted(rows).any() or (rows["frate"].notna() & (rows["frate"] != 0)).any():
        return ROLES
    return COUNTED_ROLES


def _refuse(rows: pd.DataFrame, responses: Sequence[str], factors: Sequence[str]) -> None:
    """Raise an error for columns that can't be analysed."""
    if not 1 <= len(factors) <= 3 or len(set(factors)) < len(factors):
        raise UnfitObservationsError(f"one to three different factors are needed, got {factors}")
    absent = [name for name in (*responses, *factors) if name not in rows]
    if absent:
        known = ", ".join(map(str, rows.columns))
        raise UnfitObservationsError(f"no column {absent[0]!r}; the columns are: {known}")
    for name in responses:
        if name in factors:
            raise UnfitObservationsError(f"{name!r} can't be both response and factor")
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise UnfitObservationsError(f"the response {name!r} isn't numeric")
        if np.isinf(rows[name].astype(float)).any():
            raise UnfitObservationsError(f"the response {name!r} has infinite values")
    taken = [n for n in factors if n in RESERVED] + [n for n in responses if n in ROLES]
    if taken:
        raise UnfitObservationsError(
            f"the column {taken[0]!r} has a name that the analysis needs: rename it"
        )


def _with_increase(trials: pd.DataFrame) -> pd.DataFrame:
    # Differences of fractions of images: rounded, so that equal ones are equal numbers and rank
    # alike (0.2 - 0.19 and 0.17 - 0.16 differ in the last bit).
    return trials.assign(
        error_increase=(trials["top1_error"] - trials["golden_top1_error"]).round(12)
    )


def _golden_rows(trials: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    names = [f"golden_{name}" for name in GOLDEN_FIGURES]
    rows, problems = [], []
    for (model, _), group in trials.groupby(["model", "dataset"], sort=True):
        figures = group[names].drop_duplicates()
        if len(figures) > 1:
            errors = ", ".join(map(str, sorted(set(figures["golden_top1_error"]))))
            reason = f"{len(figures)} different golden runs of {model} (top-1 errors {errors})"
            problems.append(("", "mixed", reason))
        first = group.iloc[[0]]
        rows.append(
            first[["campaign", "model", "dataset", "sites", *names]].assign(
                kind="golden",
                perturb="",
                frate=0.0,
                error_increase=0.0,
                **{name: first[f"golden_{name}"] for name in GOLDEN_FIGURES},
            )
        )
    return pd.concat(rows, ignore_index=True).reindex(columns=list(COLUMNS)), problems


def _missing(trials: pd.DataFrame, gathered: Gathered, level: str) -> list[tuple[str, str, str]]:
    """List what the crossing of all that was seen lacks, one line per cell."""
    factors = ["dataset", "sites", "model", "perturb", level]
    trials = trials.dropna(subset=[level])
    draws = set(zip(trials["seed"], trials["replica"], strict=True))
    seen: defaultdict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for *cell, seed, replica in trials[[*factors, "seed", "replica"]].itertuples(index=False):
        seen[tuple(cell)].add((seed, replica))
    for trial in gathered.failed:
        seen[tuple(map(trial.get, factors))].add((trial.get("seed"), trial.get("replica")))
    problems = []
    for place in product(*(sorted(trials[name].unique()) for name in factors)):
        absent = sorted(draws - seen[place])
        if absent:
            _, _, model, perturb, value = place
            where = repr(float(value)) if level == "frate" else f"faults={int(value)}"
            replicas = ", ".join(str(replica) for _, replica in absent[:10])
            more = ", ..." if len(absent) > 10 else ""
            reason = f"{len(absent)} of {len(draws)} replicas: {replicas}{more}"
            problems.append((f"{model}/{perturb}/{where}", "missing", reason))
    return problems


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Make counts integers that may be absent, and absent names empty."""
    counts = ("seed", "replica", "images", "golden_images", "faults", "changed_correct")
    whole = [name for name in counts if name in rows and _whole(rows[name])]
    names = [name for name in ("campaign", "dataset", "sites") if name in rows]
    rows = rows.astype(dict.fromkeys(whole, "Int64"))
    rows = rows.assign(**{name: rows[name].fillna("") for name in names})
    if "kind" in rows and "perturb" in rows:
        golden = (rows["kind"] == "golden") & rows["perturb"].isna()
        rows = rows.assign(perturb=rows["perturb"].astype(object).mask(golden, ""))
    return rows


def _whole(column: "pd.Series[Any]") -> bool:
    """Whether all values that a column has are whole numbers."""
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    return numeric and not (column.dropna().astype(float) % 1).any()


def _problems(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(PROBLEM_COLUMNS), dtype=object)
