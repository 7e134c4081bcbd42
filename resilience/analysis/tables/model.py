"""What is analysed and what comes out: observations, and the tables of an analysis."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

ROLES = ("model", "frate", "perturb")
"""The columns of a campaign that play group, level and treatment."""

COUNTED_ROLES = ("model", "faults", "perturb")
"""Those of a campaign whose trials have an exact number of faults instead of a rate."""

RESPONSES = ("top1_error", "error_increase")
"""The paper's response, and the one that speaks of resilience."""

PROBLEM_COLUMNS = ("path", "kind", "reason")
"""`kind` is damaged, failed, missing, duplicate or mixed."""

OPTIONAL = ("vulnerability_layers", "vulnerability_bits", "vulnerability_layers_bits")
"""Tables that an analysis only has where layers or bits can be compared."""


class UnfitObservationsError(ValueError):
    """Observations that can't be analysed together, or lack what was asked for."""


@dataclass(frozen=True, slots=True)
class Observations:
    """A tidy table, one row per observation, and which columns say what.

    Attributes
    ----------
    trials
        All rows. A campaign's have the columns of `trials.csv`; `kind` is `trial` or `golden`.
    factors
        One to three columns. Three play group, level and treatment (a campaign's `model`,
        `frate` and `perturb`); two play group and level; one plays level.
    responses
        Columns to analyse unless told otherwise.
    problems
        Columns `path,kind,reason`: what is damaged, failed, missing, a duplicate, or mixed.
    provenance
        Where the observations come from.
    draws
        Every draw of faults, as `resilience.analysis.read.draws` has them; empty where none is known.
    """

    trials: pd.DataFrame
    factors: tuple[str, ...]
    responses: tuple[str, ...]
    problems: pd.DataFrame
    provenance: Mapping[str, Any]
    draws: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def analysed(self) -> pd.DataFrame:
        """The rows that tests use: every factor known, no golden run, no rate of 0; sorted."""
        rows = self.trials
        if "kind" in rows:
            rows = rows[rows["kind"] != "golden"]
        rows = rows.dropna(subset=list(self.factors))
        for level in ("frate", "faults"):
            if level in self.factors:
                rows = rows[rows[level] != 0]
        # Whole numbers that could be absent, and are not.
        whole = {name: "int64" for name in self.factors if rows[name].dtype == "Int64"}
        order = [*self.factors, *self.responses]  # so that the order of rows changes no figure
        return rows.astype(whole).sort_values(order, kind="stable").reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The tables of one analysis, tidy; NaN where a figure doesn't exist, and `note` says why.

    Every table about groups has the columns `factors` names (a campaign's: model, frate,
    perturb). An entry is empty ("") where a table pools over that factor; with fewer than three
    factors the absent roles have no column. `decision` is `rejected`, `not rejected` or empty.

    Attributes
    ----------
    trials
        Every row that was read, golden runs too.
    vulnerability_layers, vulnerability_bits, vulnerability_layers_bits
        How often a draw of faults in a layer, or in a bit, is critical; see
        `resilience.analysis.risk.vulnerability`. Empty where there are no two to compare.
    descriptives
        By `grouping`: `model_frate` (by group and level), and `cell` if there is a third factor.
    anova, anova_oneway, posthoc
        Means: the factorial model, one-way tests, pairs of groups, and cells against golden.
    variances, sd_intervals
        Spread, by `grouping`: `centred`, and if there is a third factor `per_perturb`, `pooled`.
    assumptions
        Normality of residuals, ratio of standard deviations, and power.
    problems
        What is damaged, failed, missing, a duplicate, or mixed.
    responses, factors, alpha, seed, critical
        What was analysed, and how.
    provenance
        Where the observations come from.
    """

    trials: pd.DataFrame
    vulnerability_layers: pd.DataFrame
    vulnerability_bits: pd.DataFrame
    vulnerability_layers_bits: pd.DataFrame
    descriptives: pd.DataFrame
    anova: pd.DataFrame
    anova_oneway: pd.DataFrame
    posthoc: pd.DataFrame
    variances: pd.DataFrame
    sd_intervals: pd.DataFrame
    assumptions: pd.DataFrame
    problems: pd.DataFrame
    responses: tuple[str, ...]
    factors: tuple[str, ...]
    alpha: float
    seed: int
    critical: int
    provenance: Mapping[str, Any]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, in the order of reading; an optional one only if it has rows."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        tables = {name: v for name, v in values.items() if isinstance(v, pd.DataFrame)}
        return {name: v for name, v in tables.items() if name not in OPTIONAL or len(v)}
