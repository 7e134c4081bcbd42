"""The interval of a proportion, and that of a mean over draws that are resampled whole."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the score interval of level 1 - alpha; NaN where a number is missing.

    It keeps its level better than p ± z s does, and lies in [0, 1] for 0 successes too (Wilson
    1927; Newcombe 1998, Statistics in Medicine 17:857-872).
    """
    from scipy.special import ndtri

    x, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    z = float(ndtri(1 - alpha / 2))
    p = x / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # By the formula they are exactly 0 and 1 there, but for rounding.
    return np.where(x == 0, 0.0, centre - half), np.where(x == n, 1.0, centre + half)


def bootstrap_interval(
    values: NDArray[np.float64], alpha: float, seed: int
) -> tuple[float, float, str]:
    """Percentile interval of the mean of values, shape (draws,), and why there is none.

    A value is that of a whole draw of faults. Its images share these faults, so they are no
    observations by themselves, and a draw is resampled with all of them (cluster bootstrap;
    Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8). With fewer
    than some 20 draws the interval is too short.
    """
    if len(values) < 2:
        return np.nan, np.nan, "one draw"
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) == 1:
        return np.nan, np.nan, "all draws equal"
    # How often each level is drawn: the same as resampling, and most draws change nothing.
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(values), counts / len(values), size=RESAMPLES)
    low, high = np.quantile(drawn @ levels / len(values), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high), ""
