"""The uniform view of an analysis that figures and report use: fixed names, ordered levels.

A user's own table keeps its own factor names; in this view the group is always `model`, the level
`frate` (or a number of faults) and the treatment `perturb`. A factor that the analysis lacks
becomes a column of empty names, so that the same code handles one to three factors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from resilience.analysis.tables.formatting import level_text
from resilience.analysis.tables.model import ROLES, Analysis, Observations, split_roles
from resilience.results.metrics_table import ERROR_INCREASE, FACTORS, FAULT_COUNT, METRICS

_METRICS = {metric.name: metric for metric in (*METRICS, ERROR_INCREASE)}
_FACTORS = {factor.name: factor for factor in FACTORS}


@dataclass(frozen=True, slots=True)
class Layout:
    """The levels of an analysis, in the order in which figures and report show them.

    Attributes
    ----------
    names
        Names of group, level and treatment in the analysis; empty for a factor that it lacks.
    models, rates, perturbs
        Levels as strings; one empty string if the factor is missing.
    trials
        Rows that the tests use, levels as strings.
    golden_runs
        Golden runs, levels as strings.
    """

    names: tuple[str, str, str]
    models: tuple[str, ...]
    rates: tuple[str, ...]
    perturbs: tuple[str, ...]
    trials: pd.DataFrame
    golden_runs: pd.DataFrame

    @property
    def titles(self) -> tuple[str, str, str]:
        """Titles of the three factors, with units."""
        model, frate, perturb = (
            _FACTORS[name].title if name in _FACTORS else name for name in self.names
        )
        return model, frate, perturb

    @property
    def plurals(self) -> tuple[str, str, str]:
        """Plurals of the three factors."""
        model, frate, perturb = (
            _FACTORS[name].plural if name in _FACTORS else f"levels of {name}"
            for name in self.names
        )
        return model, frate, perturb

    @property
    def one_cell(self) -> bool:
        """Whether all trials belong to one cell, so that there are no means to compare."""
        return self.one_rate and len(self.models) == len(self.perturbs) == 1

    @property
    def one_rate(self) -> bool:
        """Whether all trials have one level, so that there is no spread to compare."""
        return len(self.rates) == 1

    def at(self, rate: str) -> str:
        """Write `at 1e-5`, or `with 10 faults`."""
        if self.names[1] != FAULT_COUNT.name:
            return f"at {rate}"
        return f"with {rate} fault" if rate == "1" else f"with {rate} faults"

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rename factor columns to model, frate and perturb, and turn their levels into strings."""
        return _canonical(table, self.names)

    def observed(self, response: str) -> pd.DataFrame:
        """Trials with a value of the response."""
        return self.trials[self.trials[response].notna()]

    def golden(self, response: str) -> dict[str, float]:
        """Golden value of the response by model, averaged over datasets."""
        if response not in self.golden_runs:
            return {}
        means = self.golden_runs.groupby("model")[response].mean().dropna()
        return {str(model): float(mean) for model, mean in means.items()}


def layout_of(analysis: Analysis) -> Layout:
    """Layout of an analysis: models and perturbations sorted by name, rates by value."""
    factors, everything = analysis.factors, analysis.trials
    group, level, treatment = split_roles(factors)
    names = (group or "", level, treatment or "")
    trials = Observations(everything, factors, analysis.responses, analysis.problems, {}).analysed
    golden = everything[_comparable_golden(everything, names[0])]
    models, rates, perturbs = (_levels(trials[name]) if name else ("",) for name in names)
    if names[0]:
        models = _levels(pd.concat([trials[names[0]], golden[names[0]]]))
    return Layout(
        names, models, rates, perturbs, _canonical(trials, names), _canonical(golden, names)
    )


def _comparable_golden(rows: pd.DataFrame, group: str) -> "pd.Series[bool]":
    """Mark golden runs that can be compared: those of each model, or the only one."""
    none = pd.Series(False, index=rows.index)
    golden = rows["kind"] == "golden" if "kind" in rows else none
    return golden if group == "model" or (not group and golden.sum() == 1) else none


def cells_of(descriptives: pd.DataFrame) -> pd.DataFrame:
    """Rows of the full cells; without a third factor these are the rows by model and rate."""
    cells = descriptives[descriptives["grouping"] == "cell"]
    return descriptives[descriptives["grouping"] == "model_frate"] if cells.empty else cells


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Rows of a table, with columns as attributes."""
    return iter(table.itertuples(index=False))


def title_of(response: str) -> str:
    """Title of a response, as at the beginning of a sentence."""
    return _METRICS[response].title if response in _METRICS else response


def label_of(response: str) -> str:
    """Axis label of a response, with its unit."""
    unit = _METRICS[response].unit if response in _METRICS else "unit of the table"
    return f"{title_of(response)} ({unit})"


def counts_text(counts: Sequence[int]) -> str:
    """Write `n = 10`, or `n = 8 to 10` if the counts differ."""
    low, high = min(counts, default=0), max(counts, default=0)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def _levels(column: "pd.Series[Any]") -> tuple[str, ...]:
    levels = [level for level in column.unique() if not pd.isna(level) and level != ""]
    numeric = pd.api.types.is_numeric_dtype(column)
    return tuple(level_text(level) for level in sorted(levels, key=float if numeric else str))


def _canonical(table: pd.DataFrame, names: tuple[str, str, str]) -> pd.DataFrame:
    own = {name: role for name, role in zip(names, ROLES, strict=True) if name in table.columns}
    strangers = [role for role in ROLES if role in table.columns and role not in own]
    result = table.drop(columns=strangers).rename(columns=own)
    for role, name in zip(ROLES, names, strict=True):
        if role in result.columns:
            texts = {level: level_text(level) for level in result[role].unique()}
            result[role] = result[role].map(texts)
        elif not name:
            result[role] = ""
    return result
