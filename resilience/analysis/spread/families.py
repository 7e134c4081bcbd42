"""Families of groups: the levels whose spread is compared, for each group of a design."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from resilience.analysis.spread.samples import Sample


@dataclass(frozen=True, slots=True)
class Family:
    """Samples at the levels that are compared, in order; an empty one where a level is missing.

    Attributes
    ----------
    grouping
        per_perturb
            one full cell per level
        centred
            treatments pooled, each full cell less its mean
        pooled
            treatments pooled as they are
    names
        Value of each column that says which family this is: group, treatment ("" if pooled).
    levels, samples
        What is compared.
    """

    grouping: str
    names: dict[str, Any]
    levels: tuple[Any, ...]
    samples: tuple[Sample, ...]

    @property
    def present(self) -> list[Sample]:
        """The samples that aren't empty."""
        return [sample for sample in self.samples if sample.size]


def split_roles(factors: Sequence[str]) -> tuple[str | None, str, str | None]:
    """Columns that play group, level and treatment; one factor is a level, two lack treatment."""
    if len(factors) == 1:
        return None, factors[0], None
    return factors[0], factors[1], factors[2] if len(factors) == 3 else None


def families(rows: pd.DataFrame, response: str, factors: Sequence[str]) -> Iterator[Family]:
    """Every family of the rows, per grouping; with fewer than three factors only `centred`."""
    group, level, treatment = split_roles(factors)
    raw, centred = rows[response].astype(float), cell_residuals(rows, response, factors)
    levels = tuple(sorted(rows[level].unique()))
    groups = [({}, rows)] if group is None else _by(rows, group)
    for names, part in groups:
        if treatment is None:
            yield _family("centred", names, part, centred, level, levels)
            continue
        for own, cell in _by(part, treatment):
            yield _family("per_perturb", names | own, cell, raw, level, levels)
        pooled = names | {treatment: ""}
        yield _family("centred", pooled, part, centred, level, levels, treatment)
        yield _family("pooled", pooled, part, raw, level, levels)


def cell_residuals(rows: pd.DataFrame, response: str, factors: Sequence[str]) -> pd.Series:
    """Observations less the mean of their full cell; 0 in a constant cell, without rounding."""
    values = rows[response].astype(float)
    cells = values.groupby([rows[name] for name in factors])
    constant = cells.transform("min") == cells.transform("max")
    return (values - cells.transform("mean")).mask(constant, 0.0)


def _by(frame: pd.DataFrame, column: str) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    return [({column: value}, part) for value, part in frame.groupby(column, sort=True)]


def _family(
    grouping: str,
    names: dict[str, Any],
    rows: pd.DataFrame,
    values: pd.Series,
    level: str,
    levels: tuple[Any, ...],
    centred_by: str | None = None,
) -> Family:
    samples = []
    for value in levels:
        here = rows[rows[level] == value]
        means = 1 if centred_by is None else here[centred_by].nunique()
        samples.append(Sample(np.sort(values[here.index].to_numpy(float)), len(here) - means))
    return Family(grouping, names, levels, tuple(samples))
