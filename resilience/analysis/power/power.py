"""How small an effect a design can see, and how many replicas it takes to see one."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

POWER = 0.8
SIMULATIONS = 4_000
SIMULATED_VALUES = 2_000_000
"""At most so many random numbers; larger groups are simulated less often."""
MOST_REPLICAS = 1_000_000
MOST_SIMULATED_REPLICAS = 2_000
"""Where the search for enough replicas ends."""


def f_power(f: float, df: int, residual: int, observations: int, alpha: float) -> float:
    """Chance that an effect's F test rejects if the effect is Cohen's f.

    f is the standard deviation of the effect over that within cells; the F statistic has
    noncentrality f² times the number of observations.
    """
    from scipy.stats import f as f_distribution
    from scipy.stats import ncf

    critical = f_distribution.isf(alpha, df, residual)
    return float(ncf.sf(critical, df, residual, f**2 * observations))


def detectable_f(
    df: int, residual: int, observations: int, alpha: float, power: float = POWER
) -> float:
    """Smallest Cohen's f of an effect that its F test detects with a power."""
    from scipy.optimize import brentq

    def lacking(f: float) -> float:
        return f_power(f, df, residual, observations, alpha) - power

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 1e-6, high, xtol=1e-6))


def replicas_for_f(f: float, df: int, cells: int, alpha: float, power: float = POWER) -> int | None:
    """Fewest replicas in each cell with which an effect's F test detects Cohen's f.

    None if even a million are too few.
    """
    return _fewest(
        lambda n: f_power(f, df, cells * (n - 1), cells * n, alpha) >= power, 2, MOST_REPLICAS
    )


def brown_forsythe_power(
    ratio: float, groups: int, replicas: int, alpha: float, seed: int
) -> float:
    """Chance that Brown-Forsythe rejects if one group's standard deviation is `ratio` times.

    Simulated with normal observations; the same seed gives the same ones for every ratio.
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


@lru_cache(maxsize=64)  # every response of a campaign asks the same
def detectable_sd_ratio(
    groups: int, replicas: int, alpha: float, seed: int, power: float = POWER
) -> float:
    """Smallest ratio of one group's standard deviation to the others' seen with a power.

    By seeded simulation of Brown-Forsythe on normal observations, to two decimals; NaN if even a
    ratio of 1,000 isn't.
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
    """Fewest observations in each group with which Brown-Forsythe sees a ratio of deviations.

    By the same simulation as `detectable_sd_ratio`; None if even 2,000 are too few.
    """
    return _fewest(
        lambda n: brown_forsythe_power(ratio, groups, n, alpha, seed) >= power,
        3,
        MOST_SIMULATED_REPLICAS,
    )


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Smallest number from `least` on that is enough; None if `most` is not."""
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
