"""What a design will be able to see, before there is a single observation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from resilience.analysis.means.design import design_of, effect_basis
from resilience.analysis.power.power import (
    detectable_f,
    detectable_sd_ratio,
    replicas_for_f,
    replicas_for_sd_ratio,
)
from resilience.analysis.spread.families import split_roles


@dataclass(frozen=True, slots=True)
class Wish:
    """What a campaign is wanted to see.

    Attributes
    ----------
    f
        Cohen's f: the standard deviation of an effect's means over that of the replicas.
    sd_ratio
        One level's standard deviation over that of the others.
    alpha, power
        Level of the tests, and the chance with which they are to see it.
    """

    f: float = 0.25
    sd_ratio: float = 2.0
    alpha: float = 0.05
    power: float = 0.8


@dataclass(frozen=True, slots=True)
class EffectForesight:
    """What the F test of one effect can see; None where nothing, or no number of replicas, will do.

    Attributes
    ----------
    detectable_f
        Smallest Cohen's f that is seen with the replicas there are.
    replicas_wanted
        Replicas in each cell that the wanted f takes.
    """

    effect: str
    df: int
    detectable_f: float | None
    replicas_wanted: int | None


@dataclass(frozen=True, slots=True)
class SpreadForesight:
    """What Brown-Forsythe can see over the levels of one group.

    Attributes
    ----------
    grouping
        `per_perturb`, each by itself, or `centred`: all of them, each less its mean.
    levels, observations
        What is compared: so many levels, with so many observations each.
    detectable_ratio
        Smallest ratio of one level's standard deviation to the others' that is seen.
    replicas_wanted
        Replicas in each cell that the wanted ratio takes.
    """

    grouping: str
    levels: int
    observations: int
    detectable_ratio: float | None
    replicas_wanted: int | None


def effects(rows: pd.DataFrame, factors: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Every main effect and interaction, `model:frate`, with its degrees of freedom."""
    design = design_of(rows, factors)
    for effect in design.effects:
        yield ":".join(factors[i] for i in effect), effect_basis(design, effect).shape[1]


def group_sizes(rows: pd.DataFrame, factors: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Number of levels whose spread is compared, and of observations at each, by grouping."""
    _, level, treatment = split_roles(factors)
    cell = int(np.median(rows.groupby(list(factors)).size()))
    sizes = {"centred": cell * (rows[treatment].nunique() if treatment else 1)}
    if treatment is not None:
        sizes = {"per_perturb": cell} | sizes
    return rows[level].nunique(), sizes


def foresee_effects(
    rows: pd.DataFrame, factors: Sequence[str], wish: Wish
) -> Iterator[EffectForesight]:
    """What the ANOVA of planned observations can see; effects that can't be estimated are out.

    Parameters
    ----------
    rows
        One for each trial with a rate above 0: its factors.
    """
    cells = rows.groupby(list(factors)).ngroups
    residual = len(rows) - cells
    for effect, df in effects(rows, factors):
        if df:
            yield EffectForesight(
                effect,
                df,
                detectable_f(df, residual, len(rows), wish.alpha, wish.power) if residual else None,
                replicas_for_f(wish.f, df, cells, wish.alpha, wish.power),
            )


def foresee_spread(
    rows: pd.DataFrame, factors: Sequence[str], wish: Wish, seed: int = 0
) -> Iterator[SpreadForesight]:
    """What the test for equal variances can see, by seeded simulation with normal observations."""
    levels, sizes = group_sizes(rows, factors)
    cell = min(sizes.values())
    if levels < 2:
        return
    wanted = replicas_for_sd_ratio(wish.sd_ratio, levels, wish.alpha, seed, wish.power)
    for grouping, observations in sizes.items():
        if grouping == "centred" and observations == cell and len(sizes) > 1:
            continue  # there is one treatment: the two groupings are the same
        ratio = (
            detectable_sd_ratio(levels, observations, wish.alpha, seed, wish.power)
            if observations >= 3
            else float("nan")
        )
        yield SpreadForesight(
            grouping,
            levels,
            observations,
            None if np.isnan(ratio) else ratio,
            None if wanted is None else -(-wanted * cell // observations),
        )
