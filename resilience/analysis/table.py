"""Campaigns and CSV files read into one tidy table."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resilience.analysis import descriptives, intervals, variances
from resilience.analysis.gathering import GOLDEN_FIGURES, Gathered, gather
from resilience.analysis.model import (
    PROBLEM_COLUMNS,
    RESPONSES,
    ROLES,
    Observations,
    UnfitObservationsError,
)

COLUMNS = (
    *("kind", "campaign", "model", "dataset", "sites", "perturb", "frate", "seed", "replica"),
    *(*GOLDEN_FIGURES, "masked_rate", "sdc_rate", "due_rate"),
    *(f"golden_{name}" for name in GOLDEN_FIGURES),
    "error_increase",
)
RESERVED = frozenset((*descriptives.COLUMNS, *intervals.COLUMNS, *variances.COLUMNS))
"""Columns of the tables that have columns of the factors too."""


def read_campaigns(paths: Sequence[Path]) -> Observations:
    """Observations of one or several campaign directories.

    A golden run (`frate` 0, one row per model and dataset) stands before the trials. What is
    damaged, failed, missing from the crossing, there twice, or pooled though it differs is listed
    in `problems`.

    Raises
    ------
    UnfitObservationsError
        If a path is no directory, holds no result, or the results differ in the weights of one
        model or in its images.
    """
    gathered = gather(paths)
    trials = _with_increase(pd.DataFrame(gathered.rows, columns=list(COLUMNS)))
    struck = trials[trials["frate"] > 0].assign(kind="trial")
    golden, disagreeing = _golden_rows(trials)
    missing = _missing(struck, gathered) if len(struck) else []
    order = ["model", "dataset", "sites", "frate", "perturb", "seed", "replica", "campaign"]
    rows = pd.concat([golden, struck.sort_values(order, kind="stable")], ignore_index=True)
    return Observations(
        trials=_typed(rows),
        factors=ROLES,
        responses=RESPONSES,
        problems=_problems([*gathered.problems, *missing, *disagreeing]),
        provenance=gathered.provenance,
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
        factors=ROLES,
        responses=present or RESPONSES,
        problems=_problems([]),
        provenance={"file": path.name},
    )
    return select(observations, response, factors)


def select(
    observations: Observations, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Choose another response or other factors; rows that lack a factor go, and are listed.

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
    lacking = {f"a factor ({', '.join(chosen)})": nameless} | {
        f"the response {name}": rows[name].isna() & ~golden & ~nameless for name in responses
    }
    problems = [
        ("", "missing", f"{count} rows lack a value of {what}")
        for what, count in ((what, int(rows.sum())) for what, rows in lacking.items())
        if count
    ]
    return replace(
        observations,
        trials=rows[~nameless].reset_index(drop=True),
        factors=chosen,
        responses=responses,
        problems=pd.concat(
            [observations.problems, _problems(problems)], ignore_index=True
        ).drop_duplicates(ignore_index=True),
    )


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


def _missing(trials: pd.DataFrame, gathered: Gathered) -> list[tuple[str, str, str]]:
    """List what the crossing of all that was seen lacks, one line per cell."""
    factors = ["dataset", "sites", "model", "perturb", "frate"]
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
            _, _, model, perturb, frate = place
            replicas = ", ".join(str(replica) for _, replica in absent[:10])
            more = ", ..." if len(absent) > 10 else ""
            reason = f"{len(absent)} of {len(draws)} replicas: {replicas}{more}"
            problems.append((f"{model}/{perturb}/{float(frate)!r}", "missing", reason))
    return problems


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Make counts integers that may be absent, and absent names empty."""
    counts = [name for name in ("seed", "replica", "images", "golden_images") if name in rows]
    whole = [name for name in counts if pd.api.types.is_numeric_dtype(rows[name].dtype)]
    names = [name for name in ("campaign", "dataset", "sites") if name in rows]
    rows = rows.astype(dict.fromkeys(whole, "Int64"))
    rows = rows.assign(**{name: rows[name].fillna("") for name in names})
    if "kind" in rows and "perturb" in rows:
        golden = (rows["kind"] == "golden") & rows["perturb"].isna()
        rows = rows.assign(perturb=rows["perturb"].astype(object).mask(golden, ""))
    return rows


def _problems(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(PROBLEM_COLUMNS), dtype=object)
