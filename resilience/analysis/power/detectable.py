"""The smallest effects that a design can detect, and the replicas that an effect requires."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

POWER = 0.8
SIMULATIONS = 4_000
SIMULATED_VALUES = 2_000_000
"""Largest number of random numbers; large groups are simulated less often."""
MOST_REPLICAS = 1_000_000
MOST_SIMULATED_REPLICAS = 2_000
"""Upper limits of the search for the number of replicas."""


def f_power(f: float, df: int, residual: int, observations: int, alpha: float) -> float:
    """Power of the F test of an effect of size f (Cohen's).

    f is the standard deviation of the effect over that within cells; the noncentrality of the F
    statistic is f² times the number of observations.
    """
    from scipy.stats import f as f_distribution
    from scipy.stats import ncf

    critical = f_distribution.isf(alpha, df, residual)
    return float(ncf.sf(critical, df, residual, f**2 * observations))


def detectable_f(
    df: int, residual: int, observations: int, alpha: float, power: float = POWER
) -> float:
    """Smallest Cohen's f that the F test of an effect detects with the given power."""
    from scipy.optimize import brentq

    def lacking(f: float) -> float:
        return f_power(f, df, residual, observations, alpha) - power

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 1e-6, high, xtol=1e-6))


def replicas_for_f(f: float, df: int, cells: int, alpha: float, power: float = POWER) -> int | None:
    """Smallest number of replicas per cell with which the F test of an effect detects Cohen's f.

    None if a million are too few.
    """
    return _fewest(
        lambda n: f_power(f, df, cells * (n - 1), cells * n, alpha) >= power, 2, MOST_REPLICAS
    )


def brown_forsythe_power(
    ratio: float, groups: int, replicas: int, alpha: float, seed: int
) -> float:
    """Power of Brown-Forsythe if one standard deviation is `ratio` times the others'.

    Simulated with normal observations, which are the same for every ratio under one seed.
    """
    from scipy.stats import f as f_distribution

    rng = np.random.default_rng(seed)
    times = min(SIMULATIONS, max(SIMULATED_VALUES // (groups * replicas), 100))
    values = rng.standard_normal((times, groups, replicas))
    values[:, 0] *= ratio
    deviations = np.abs(values - np.median(values, axis=2, keepdims=True))
    means = deviations.mean(axis=2)
    among = replicas * means.var(axis=1, ddof=1)
    within = deviations.var(axis=2, ddof=1).mean(axis=1)
    critical = f_distribution.isf(alpha, groups - 1, groups * (replicas - 1))
    return float((among / within > critical).mean())


@lru_cache(maxsize=64)  # all responses of a campaign share the result
def detectable_sd_ratio(
    groups: int, replicas: int, alpha: float, seed: int, power: float = POWER
) -> float:
    """Smallest detected ratio of one group's standard deviation to the others'.

    By seeded simulation of Brown-Forsythe on normal observations, to two decimals; NaN if a ratio
    of 1,000 is not detected with the given power.
    """
    low, high = 1.0, 2.0
    while brown_forsythe_power(high, groups, replicas, alpha, seed) < power:
        low, high = high, 2 * high
        if high > 1000:
            return float("nan")
    while high - low > 0.005:
        middle = (low + high) / 2
        enough = brown_forsythe_power(middle, groups, replicas, alpha, seed) >= power
        low, high = (low, middle) if enough else (middle, high)
    return round(high, 2)


def replicas_for_sd_ratio(
    ratio: float, groups: int, alpha: float, seed: int, power: float = POWER
) -> int | None:
    """Smallest group size with which Brown-Forsythe detects a ratio of standard deviations.

    By the same simulation as `detectable_sd_ratio`; None if 2,000 observations are too few.
    """
    return _fewest(
        lambda n: brown_forsythe_power(ratio, groups, n, alpha, seed) >= power,
        3,
        MOST_SIMULATED_REPLICAS,
    )


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Smallest sufficient number from `least` upwards; None if `most` is not sufficient."""
    if enough(least):
        return least
    low, high = least, 2 * least
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
