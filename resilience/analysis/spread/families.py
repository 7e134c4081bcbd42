"""Families of samples: the levels whose spread is compared within each group of a design."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from resilience.analysis.spread.samples import Sample
from resilience.analysis.tables import split_roles


@dataclass(frozen=True, slots=True)
class Family:
    """Samples at the compared levels, in order; a missing level has an empty sample.

    Attributes
    ----------
    grouping
        per_perturb
            one full cell per level
        centred
            treatments pooled after subtracting the mean of each full cell
        pooled
            treatments pooled without centring
    names
        Group and treatment of the family; the treatment is "" if pooled.
    levels, samples
        Levels, and the sample at each.
    """

    grouping: str
    names: dict[str, Any]
    levels: tuple[Any, ...]
    samples: tuple[Sample, ...]

    @property
    def present(self) -> list[Sample]:
        """Samples that are not empty."""
        return [sample for sample in self.samples if sample.size]


def families(rows: pd.DataFrame, response: str, factors: Sequence[str]) -> Iterator[Family]:
    """All families of the rows; with fewer than three factors only those centred."""
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
    """Observations minus the mean of their full cell; exactly 0 in a constant cell."""
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
