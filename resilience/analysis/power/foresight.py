"""What a planned design can detect, before there are any observations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from resilience.analysis.means import design_of, effect_basis
from resilience.analysis.power.detectable import (
    detectable_f,
    detectable_sd_ratio,
    replicas_for_f,
    replicas_for_sd_ratio,
)
from resilience.analysis.tables import split_roles


@dataclass(frozen=True, slots=True)
class Wish:
    """The differences that a campaign should detect.

    Attributes
    ----------
    f
        Cohen's f: the standard deviation of an effect's means over that of the replicas.
    sd_ratio
        One level's standard deviation over that of the others.
    alpha, power
        Level and power of the tests.
    """

    f: float = 0.25
    sd_ratio: float = 2.0
    alpha: float = 0.05
    power: float = 0.8


@dataclass(frozen=True, slots=True)
class EffectForesight:
    """What the F test of one effect can detect.

    Attributes
    ----------
    detectable_f
        Smallest Cohen's f detected with the planned replicas; None if there is no residual.
    replicas_wanted
        Replicas per cell needed to detect the wanted f; None if no number suffices.
    """

    effect: str
    df: int
    detectable_f: float | None
    replicas_wanted: int | None


@dataclass(frozen=True, slots=True)
class SpreadForesight:
    """What the Brown-Forsythe test over the levels of one group can detect.

    Attributes
    ----------
    grouping
        `per_perturb` (each perturbation separately) or `centred` (pooled after centring).
    levels, observations
        Number of levels, and of observations per level.
    detectable_ratio
        Smallest detected ratio of one level's standard deviation to the others'; None if there is
        none.
    replicas_wanted
        Replicas per cell needed to detect the wanted ratio; None if no number suffices.
    """

    grouping: str
    levels: int
    observations: int
    detectable_ratio: float | None
    replicas_wanted: int | None


def effects(rows: pd.DataFrame, factors: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Main effects and interactions, named like `model:frate`, with their degrees of freedom."""
    design = design_of(rows, factors)
    for effect in design.effects:
        yield ":".join(factors[i] for i in effect), effect_basis(design, effect).shape[1]


def group_sizes(rows: pd.DataFrame, factors: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Number of levels whose spread is compared, and observations per level by grouping."""
    _, level, treatment = split_roles(factors)
    cell = int(np.median(rows.groupby(list(factors)).size()))
    sizes = {"centred": cell * (rows[treatment].nunique() if treatment else 1)}
    if treatment is not None:
        sizes = {"per_perturb": cell} | sizes
    return rows[level].nunique(), sizes


def foresee_effects(
    rows: pd.DataFrame, factors: Sequence[str], wish: Wish
) -> Iterator[EffectForesight]:
    """What the ANOVA of planned trials can detect; effects that cannot be estimated are left out.

    Parameters
    ----------
    rows
        Factors of each trial with a rate above 0, one row per trial.
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
    """What Brown-Forsythe can detect, by seeded simulation of normal observations."""
    levels, sizes = group_sizes(rows, factors)
    cell = min(sizes.values())
    if levels < 2:
        return
    wanted = replicas_for_sd_ratio(wish.sd_ratio, levels, wish.alpha, seed, wish.power)
    for grouping, observations in sizes.items():
        if grouping == "centred" and observations == cell and len(sizes) > 1:
            continue  # with one treatment the two groupings are the same
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
