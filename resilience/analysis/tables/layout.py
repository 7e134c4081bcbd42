"""An analysis as figures and report read it: one set of names, and levels in order.

A table of the user's own keeps its own factor names; here the first factor is always `model` (the
group), the second `frate` (the level, a number of faults too), the third `perturb` (the treatment).
A factor that the analysis does not have is a column of empty names, so that one to three factors
read alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from resilience.analysis.spread.families import split_roles
from resilience.analysis.tables.formatting import level_text
from resilience.analysis.tables.model import ROLES, Analysis, Observations

RESPONSE_TITLES = {
    "top1_error": ("Top-1 error", "fraction of images"),
    "top5_error": ("Top-5 error", "fraction of images"),
    "error_increase": ("Increase of top-1 error over golden", "fraction of images"),
    "mean_cross_entropy": ("Mean cross-entropy", "nats"),
    "masked_rate": ("Masked", "fraction of images"),
    "sdc_rate": ("Silent data corruption", "fraction of images"),
    "due_rate": ("Detectable uncorrected errors", "fraction of images"),
    "sdc5_rate": ("SDC-5", "fraction of images"),
    "sdc10pct_rate": ("SDC-10 %", "fraction of images"),
    "sdc20pct_rate": ("SDC-20 %", "fraction of images"),
    "changed_correct": ("Correct predictions changed silently", "images"),
}

FACTOR_PLURALS = {
    "model": "models",
    "frate": "failure rates",
    "faults": "numbers of faults",
    "perturb": "perturbations",
}
FACTOR_TITLES = {
    "frate": "failure rate (faults per weight)",
    "faults": "number of faults",
    "perturb": "perturbation",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The levels of an analysis in the order in which everything shows them.

    Attributes
    ----------
    names
        What the analysis calls model, frate and perturb; empty for a factor that it lacks.
    models, rates, perturbs
        Levels as texts; one empty text where the factor is lacking.
    trials
        What tests use, one row per trial, levels as texts.
    golden_runs
        One row per model that has one, levels as texts.
    """

    names: tuple[str, str, str]
    models: tuple[str, ...]
    rates: tuple[str, ...]
    perturbs: tuple[str, ...]
    trials: pd.DataFrame
    golden_runs: pd.DataFrame

    @property
    def titles(self) -> tuple[str, str, str]:
        """What people call the three factors, the rate with its unit."""
        model, frate, perturb = (FACTOR_TITLES.get(name, name) for name in self.names)
        return model, frate, perturb

    @property
    def plurals(self) -> tuple[str, str, str]:
        """What people call the levels of the three factors."""
        model, frate, perturb = (
            FACTOR_PLURALS.get(name, f"levels of {name}") for name in self.names
        )
        return model, frate, perturb

    @property
    def one_cell(self) -> bool:
        """Whether all trials are of one cell, so that there are no means to compare."""
        return self.one_rate and len(self.models) == len(self.perturbs) == 1

    @property
    def one_rate(self) -> bool:
        """Whether all trials are of one level, so that there is no spread to compare."""
        return len(self.rates) == 1

    def at(self, rate: str) -> str:
        """Say at which level something is: `at 1e-5`, `with 10 faults`."""
        if self.names[1] != "faults":
            return f"at {rate}"
        return f"with {rate} fault" if rate == "1" else f"with {rate} faults"

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rename a table's factor columns to model, frate and perturb, their levels as texts."""
        return _canonical(table, self.names)

    def observed(self, response: str) -> pd.DataFrame:
        """Trials under faults that have this response."""
        return self.trials[self.trials[response].notna()]

    def golden(self, response: str) -> dict[str, float]:
        """Value of the response without faults, of each model that has one; mean over data sets."""
        if response not in self.golden_runs:
            return {}
        means = self.golden_runs.groupby("model")[response].mean().dropna()
        return {str(model): float(mean) for model, mean in means.items()}


def layout_of(analysis: Analysis) -> Layout:
    """Find the levels of an analysis: models and perturbations by name, rates by size."""
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
    """Mark the golden runs that belong to one group: a model's, or the only one."""
    none = pd.Series(False, index=rows.index)
    golden = rows["kind"] == "golden" if "kind" in rows else none
    return golden if group == "model" or (not group and golden.sum() == 1) else none


def cells_of(descriptives: pd.DataFrame) -> pd.DataFrame:
    """Select the full cells, which are those by model and rate where there is no third factor."""
    cells = descriptives[descriptives["grouping"] == "cell"]
    return descriptives[descriptives["grouping"] == "model_frate"] if cells.empty else cells


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Go through a table's rows, each with its columns as attributes."""
    return iter(table.itertuples(index=False))


def title_of(response: str) -> str:
    """Name a response at the beginning of a sentence."""
    return RESPONSE_TITLES.get(response, (response, ""))[0]


def label_of(response: str) -> str:
    """Label an axis with the response and its unit."""
    name, unit = RESPONSE_TITLES.get(response, (response, "unit of the table"))
    return f"{name} ({unit})"


def counts_text(counts: Sequence[int]) -> str:
    """Say `n = 10`, or `n = 8 to 10` where the counts differ."""
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
