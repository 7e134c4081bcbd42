"""What is analysed and what comes out: observations, and the tables of an analysis."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

ROLES = ("model", "frate", "perturb")
"""The columns of a campaign that play group, level and treatment."""

RESPONSES = ("top1_error", "error_increase")
"""The paper's response, and the one that speaks of resilience."""

PROBLEM_COLUMNS = ("path", "kind", "reason")
"""`kind` is damaged, failed, missing, duplicate or mixed."""


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
    """

    trials: pd.DataFrame
    factors: tuple[str, ...]
    responses: tuple[str, ...]
    problems: pd.DataFrame
    provenance: Mapping[str, Any]

    @property
    def analysed(self) -> pd.DataFrame:
        """The rows that tests use: no golden run, no rate of 0; sorted."""
        rows = self.trials
        if "kind" in rows:
            rows = rows[rows["kind"] != "golden"]
        if "frate" in self.factors:
            rows = rows[rows["frate"] != 0]
        order = [*self.factors, *self.responses]  # so that the order of rows changes no figure
        return rows.sort_values(order, kind="stable").reset_index(drop=True)


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
    responses, factors, alpha, seed
        What was analysed, and how.
    provenance
        Where the observations come from.
    """

    trials: pd.DataFrame
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
    provenance: Mapping[str, Any]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, in the order of reading."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v for name, v in values.items() if isinstance(v, pd.DataFrame)}
