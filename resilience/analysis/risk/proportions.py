"""Intervals of a proportion, and of a mean over draws of faults."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of Wilson's score interval of level 1 - alpha; NaN if a number is missing.

    Its coverage is closer to nominal than that of p ± z s, and it lies within [0, 1] even with 0
    successes (Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857-872).
    """
    from scipy.special import ndtri

    x, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    z = float(ndtri(1 - alpha / 2))
    p = x / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # The formula gives exactly 0 and 1 here, except for rounding errors.
    return np.where(x == 0, 0.0, centre - half), np.where(x == n, 1.0, centre + half)


def bootstrap_interval(
    values: NDArray[np.float64], alpha: float, seed: int
) -> tuple[float, float, str]:
    """Percentile bootstrap interval of the mean of values, shape (draws,): low, high, note.

    The note says why there is no interval. Each value belongs to a draw of faults. The images of a
    draw share its faults and are therefore not independent, so draws are resampled as a whole
    (cluster bootstrap; Davison and Hinkley 1997, Bootstrap Methods and their Application, section
    3.8). With fewer than about 20 draws the interval is too short.
    """
    if len(values) < 2:
        return np.nan, np.nan, "one draw"
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) == 1:
        return np.nan, np.nan, "all draws equal"
    # Drawing counts of the distinct values is the same as resampling, and most values are 0.
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(values), counts / len(values), size=RESAMPLES)
    low, high = np.quantile(drawn @ levels / len(values), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high), ""
