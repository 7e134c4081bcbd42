"""How small an effect a design can see."""

from functools import lru_cache

import numpy as np

POWER = 0.8
SIMULATIONS = 4_000
SIMULATED_VALUES = 2_000_000
"""At most so many random numbers; larger groups are simulated less often."""


def detectable_f(df: int, residual: int, observations: int, alpha: float) -> float:
    """Smallest Cohen's f of an effect that its F test detects with 80 %.

    f is the standard deviation of the effect over that within cells; the F statistic has
    noncentrality f² times the number of observations.
    """
    from scipy.optimize import brentq
    from scipy.stats import f as f_distribution
    from scipy.stats import ncf

    critical = f_distribution.isf(alpha, df, residual)

    def lacking(f: float) -> float:
        return float(ncf.sf(critical, df, residual, f**2 * observations)) - POWER

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 1e-6, high, xtol=1e-6))


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
def detectable_sd_ratio(groups: int, replicas: int, alpha: float, seed: int) -> float:
    """Smallest ratio of one group's standard deviation to the others' seen with 80 %.

    By seeded simulation of Brown-Forsythe on normal observations, to two decimals; NaN if even a
    ratio of 1,000 isn't.
    """
    low, high = 1.0, 2.0
    while brown_forsythe_power(high, groups, replicas, alpha, seed) < POWER:
        low, high = high, 2 * high
        if high > 1000:
            return float("nan")
    while high - low > 0.005:
        middle = (low + high) / 2
        enough = brown_forsythe_power(middle, groups, replicas, alpha, seed) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return round(high, 2)
