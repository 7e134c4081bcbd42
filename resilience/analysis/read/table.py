"""Campaigns and CSV files read into one tidy table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from resilience.analysis.read.draws import draws_table
from resilience.analysis.read.gathering import (
    GOLDEN_METRICS,
    LABELS,
    Gathered,
    gather,
    gather_results,
)
from resilience.analysis.read.selection import problem_table, roles_of, select
from resilience.analysis.tables import RESPONSES, Observations, UnfitObservationsError
from resilience.results.metrics_table import (
    ERROR_INCREASE,
    FAILURE_RATE,
    FAULT_COUNT,
    METRICS,
)
from resilience.results.record import Result

GOLDEN_COLUMNS = {f"golden_{name}": name for name in GOLDEN_METRICS}
"""Columns of a trial that hold metrics of its golden run, with the names of the metrics."""

COLUMNS = (
    *("kind", "campaign", *LABELS[:4], FAILURE_RATE.name, FAULT_COUNT.name, *LABELS[4:]),
    *(metric.name for metric in METRICS),
    *GOLDEN_COLUMNS,
    ERROR_INCREASE.name,
)
"""Columns of `trials.csv`."""

OPTIONAL_COLUMNS = (
    *(FAILURE_RATE.name, FAULT_COUNT.name),
    *(metric.name for metric in METRICS if not metric.always),
)
"""Columns that only some results have values for."""


def read_campaigns(paths: Sequence[Path]) -> Observations:
    """Observations of one or several campaign directories.

    Golden runs (`frate` 0, one row per model and dataset) come before the trials. If no trial has
    a rate, the level is `faults`, the exact number of faults; if only some have none, those are
    excluded from the tests. Damaged, failed, missing and duplicate trials, and trials that are
    pooled despite different settings, are listed in `problems`.

    Raises
    ------
    UnfitObservationsError
        If a path is not a directory or holds no result, or if results of one model differ in
        their weights or images.
    """
    return _observed(gather(paths))


def read_results(results: Iterable[Result]) -> Observations:
    """Observations of results that were never written to files.

    Raises
    ------
    UnfitObservationsError
        If results of one model differ in their weights or images.
    """
    return _observed(gather_results(results))


def _observed(gathered: Gathered) -> Observations:
    trials = with_increase(pd.DataFrame(gathered.rows, columns=list(COLUMNS)))
    trials = trials.astype(dict.fromkeys(OPTIONAL_COLUMNS, float))  # objects if all are missing
    struck = trials[(trials["frate"] > 0) | (trials["faults"] > 0)].assign(kind="trial")
    golden, disagreeing = golden_rows(trials)
    factors = roles_of(struck)
    missing = _missing(struck, gathered, factors[1]) if len(struck) else []
    order = ["model", "dataset", "sites", "frate", "faults", "perturb", "seed", "replica"]
    order.append("campaign")
    rows = pd.concat([golden, struck.sort_values(order, kind="stable")], ignore_index=True)
    return Observations(
        trials=_typed(rows),
        factors=factors,
        responses=RESPONSES,
        problems=problem_table([*gathered.problems, *missing, *disagreeing]),
        provenance=gathered.provenance,
        draws=draws_table(gathered.draws, gathered.orders),
    )


def read_csv(
    path: Path, response: str | None = None, factors: Sequence[str] | None = None
) -> Observations:
    """Observations of a CSV file with one row per observation, such as `trials.csv`.

    Without `response` or `factors` the file needs the columns of a campaign.

    Raises
    ------
    UnfitObservationsError
        As `select` does, and if the file is not a table.
    """
    try:
        rows = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UnfitObservationsError(f"{path} cannot be read as CSV: {error}") from error
    return select(observations_of(rows, {"file": path.name}), response, factors)


def observations_of(
    rows: pd.DataFrame,
    provenance: Mapping[str, Any],
    problems: Sequence[tuple[str, str, str]] = (),
    draws: pd.DataFrame | None = None,
) -> Observations:
    """Observations of rows whose columns decide responses and factors."""
    present = tuple(name for name in RESPONSES if name in rows)
    return Observations(
        trials=_typed(rows),
        factors=roles_of(rows),
        responses=present or RESPONSES,
        problems=problem_table(problems),
        provenance=provenance,
        draws=pd.DataFrame() if draws is None else draws,
    )


def with_increase(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with the column `error_increase`."""
    # Rounded, so that equal increases are equal numbers and have equal ranks (0.2 - 0.19 and
    # 0.17 - 0.16 differ in the last bit).
    return trials.assign(
        error_increase=(trials["top1_error"] - trials["golden_top1_error"]).round(12)
    )


def golden_rows(trials: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """One golden row per model and dataset, and problems for golden runs that disagree."""
    names = list(GOLDEN_COLUMNS)
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
                **{name: first[column] for column, name in GOLDEN_COLUMNS.items()},
            )
        )
    return pd.concat(rows, ignore_index=True).reindex(columns=list(COLUMNS)), problems


def _missing(trials: pd.DataFrame, gathered: Gathered, level: str) -> list[tuple[str, str, str]]:
    """Problems for replicas that the full crossing of the levels lacks, one per cell."""
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
    """Make counts nullable integers, and missing names empty strings."""
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
    """Whether all present values of a column are whole numbers."""
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    return numeric and not (column.dropna().astype(float) % 1).any()
