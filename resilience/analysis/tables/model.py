"""The data model of an analysis: observations go in, tables come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from resilience.results.metrics_table import (
    ERROR_INCREASE,
    FAILURE_RATE,
    FAULT_COUNT,
    MODEL,
    PERTURBATION,
)
from resilience.system.errors import UserError

ROLES = (MODEL.name, FAILURE_RATE.name, PERTURBATION.name)
"""Columns of a campaign that serve as group, level and treatment."""

COUNTED_ROLES = (MODEL.name, FAULT_COUNT.name, PERTURBATION.name)
"""The same for a campaign whose trials have an exact number of faults instead of a rate."""

RESPONSES = ("top1_error", ERROR_INCREASE.name)
"""Responses analysed by default: the publication's, and the one that measures resilience."""

PROBLEM_COLUMNS = ("path", "kind", "reason")
"""`kind` is damaged, failed, missing, duplicate or mixed."""

OPTIONAL = ("vulnerability_layers", "vulnerability_bits", "vulnerability_layers_bits")
"""Tables that an analysis has only if there are layers or bits to compare."""


class UnfitObservationsError(UserError):
    """Observations cannot be analysed together, or lack a column that was asked for."""


@dataclass(frozen=True, slots=True)
class Observations:
    """A tidy table, one row per observation, and the roles of its columns.

    Attributes
    ----------
    trials
        All rows. Those of a campaign have the columns of `trials.csv`, where `kind` is `trial` or
        `golden`.
    factors
        One to three columns. Three are group, level and treatment (`model`, `frate` and `perturb`
        in a campaign); two are group and level; one is the level.
    responses
        Columns to analyse by default.
    problems
        Columns `path,kind,reason`: damaged, failed, missing, duplicate and mixed trials.
    provenance
        Where the observations come from.
    draws
        One row per draw of faults, with the columns of `resilience.analysis.read.draws`; empty if
        no draws are known.
    """

    trials: pd.DataFrame
    factors: tuple[str, ...]
    responses: tuple[str, ...]
    problems: pd.DataFrame
    provenance: Mapping[str, Any]
    draws: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def analysed(self) -> pd.DataFrame:
        """Rows that the tests use, sorted: every factor known, no golden run, no rate of 0."""
        rows = self.trials
        if "kind" in rows:
            rows = rows[rows["kind"] != "golden"]
        rows = rows.dropna(subset=list(self.factors))
        for level in (FAILURE_RATE.name, FAULT_COUNT.name):
            if level in self.factors:
                rows = rows[rows[level] != 0]
        # Nullable integers slow numpy down, and after dropping rows none is missing.
        whole = {name: "int64" for name in self.factors if rows[name].dtype == "Int64"}
        order = [*self.factors, *self.responses]  # results must not depend on the order of rows
        return rows.astype(whole).sort_values(order, kind="stable").reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The tidy tables of one analysis; a value that does not exist is NaN, and `note` says why.

    Every table about groups has one column per factor. An entry is empty ("") where the table
    pools over that factor. `decision` is `rejected`, `not rejected` or empty.

    Attributes
    ----------
    trials
        Every row that was read, including golden runs.
    vulnerability_layers, vulnerability_bits, vulnerability_layers_bits
        How often a draw of faults in each layer or bit is critical; see
        `resilience.analysis.risk.vulnerability`. Empty unless there are two to compare.
    descriptives
        Per `grouping`: `model_frate` (group and level), and `cell` if there is a third factor.
    anova, anova_oneway, posthoc
        Comparisons of means: the factorial model, one-way tests, pairs of groups, and cells
        against golden.
    variances, sd_intervals
        Comparisons of spread, per `grouping`: `centred`, and `per_perturb` and `pooled` if there
        is a third factor.
    assumptions
        Normality of residuals, ratios of standard deviations, and power.
    problems
        Damaged, failed, missing, duplicate and mixed trials.
    responses, factors, alpha, seed, critical
        What was analysed, and with which settings.
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
        """The tables by name, in reading order; the optional ones only if they have rows."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        tables = {name: v for name, v in values.items() if isinstance(v, pd.DataFrame)}
        return {name: v for name, v in tables.items() if name not in OPTIONAL or len(v)}


def split_roles(factors: Sequence[str]) -> tuple[str | None, str, str | None]:
    """Columns that serve as group, level and treatment, given one to three factors."""
    if len(factors) == 1:
        return None, factors[0], None
    return factors[0], factors[1], factors[2] if len(factors) == 3 else None
