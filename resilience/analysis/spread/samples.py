"""Intervals and a test of standard deviations that do not assume normality, and one that does.

Bonett (2006), Approximate confidence interval for standard deviation of nonnormal distributions,
CSDA 50, 775-782. Bonett (2006), Robust confidence interval for a ratio of standard deviations,
Applied Psychological Measurement 30, 432-439. Banga and Fox (2013), A graphical multiple
comparisons procedure for several standard deviations, Minitab. Trimming (which includes fractions
of observations) and the p-value for more than two groups (from the intervals that Hochberg, Weiss
and Hart, 1982, fit to the pairs) agree with Minitab's Methods and formulas for Test for Equal
Variances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from resilience.analysis.means import range_isf, range_sf

Interval = tuple[float, float]

SMALLEST = 5
"""Smallest group for which kurtosis can be estimated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Observations, shape (n,), and degrees of freedom: n minus the number of means removed."""

    observations: NDArray[np.float64]
    df: int

    @property
    def size(self) -> int:
        """Number of observations."""
        return len(self.observations)

    @property
    def squares(self) -> float:
        """Sum of squared deviations from the mean."""
        return float(((self.observations - self.observations.mean()) ** 2).sum())

    @property
    def fourths(self) -> float:
        """Sum of fourth powers of deviations from the trimmed mean."""
        return float(((self.observations - trimmed_mean(self.observations)) ** 4).sum())

    @property
    def sd(self) -> float:
        """Standard deviation; exactly 0 if all values are equal."""
        return 0.0 if self.constant else float(np.sqrt(self.squares / self.df))

    @property
    def constant(self) -> bool:
        """Whether all values are equal."""
        return bool(self.observations.min() == self.observations.max())


def trimmed_mean(values: NDArray[np.float64]) -> float:
    """Mean after trimming the fraction 1 / (2 sqrt(n - 4)) at each end; no trimming if n <= 4.

    If that is not a whole number of values, the outermost remaining values count in part.
    """
    n = len(values)
    cut = n / (2 * np.sqrt(n - 4)) if n > 4 else 0.0
    ordered, ranks = np.sort(values), np.arange(1, n + 1)
    weights = np.clip(np.minimum(ranks, n + 1 - ranks) - cut, 0.0, 1.0)
    if weights.sum() == 0.0:  # of five values, half are trimmed at each end
        return float(np.median(values))
    return float(ordered @ weights / weights.sum())


def chi_square_interval(sample: Sample, level: float) -> Interval:
    """Confidence interval of the standard deviation of normal observations."""
    from scipy.stats import chi2

    squares, tail = sample.df * sample.sd**2, (1 - level) / 2
    low, high = chi2.isf([tail, 1 - tail], sample.df)
    return float(np.sqrt(squares / low)), float(np.sqrt(squares / high))


def bonett_interval(sample: Sample, level: float) -> Interval:
    """Confidence interval of the standard deviation by Bonett (2006).

    Raises
    ------
    ValueError
        If there are too few observations for the level.
    """
    from scipy.stats import norm

    n, z = sample.size, float(norm.isf((1 - level) / 2))
    if n <= z:
        raise ValueError(f"{n} observations allow no Bonett interval of level {level}")
    kurtosis = n * sample.fourths / sample.squares**2
    scale = n / (n - z)
    error = scale * np.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    middle = sample.sd * np.sqrt(scale)
    return float(middle * np.exp(-z * error / 2)), float(middle * np.exp(z * error / 2))


def banga_fox(samples: Sequence[Sample]) -> tuple[float, float]:
    """Multiple-comparisons test that all standard deviations are equal: statistic and p-value.

    The statistic is the largest difference between two log variances, in standard errors. For two
    groups this is the test of their ratio by Bonett (2006), whose p-value inverts the interval.

    Raises
    ------
    ValueError
        If kurtosis differs so much among four or more groups that the pairs admit no intervals.
    """
    from scipy.stats import norm

    if len(samples) == 2:
        z = _bonett_ratio_z(*samples)
        return z, float(2 * norm.sf(z))
    errors = _own_errors(samples)
    largest = 0.0
    for (a, own_a), (b, own_b) in combinations(zip(samples, errors, strict=True), 2):
        if own_a + own_b <= 0:
            raise ValueError("kurtosis differs too much among the groups for common intervals")
        largest = max(largest, abs(2 * np.log(a.sd / b.sd)) / (own_a + own_b))
    return float(largest), range_sf(float(largest * np.sqrt(2)), len(samples))


def multiple_comparison_intervals(samples: Sequence[Sample], alpha: float) -> list[Interval]:
    """Comparison intervals: two that do not overlap belong to differing standard deviations.

    They agree with `banga_fox` at level `alpha`, and are not confidence intervals of a standard
    deviation. An interval may be empty, low above high, if its group's kurtosis is far from the
    others'.
    """
    from scipy.stats import norm

    if len(samples) == 2:
        z = float(norm.isf(alpha / 2))
        parts = _errors_of_pair(*samples)
        whole = float(np.hypot(*parts))
        errors = [whole * part / sum(parts) for part in parts]
        middles = [s.sd * float(np.sqrt(s.size / (s.size - z))) for s in samples]
    else:
        z = range_isf(alpha, len(samples)) / float(np.sqrt(2))
        errors = list(_own_errors(samples))
        middles = [s.sd for s in samples]
    factors = [float(np.exp(z * error / 2)) for error in errors]
    return [(m / f, m * f) for m, f in zip(middles, factors, strict=True)]


def _errors_of_pair(a: Sample, b: Sample) -> tuple[float, float]:
    """Standard errors of both log variances, from the pooled kurtosis of the pair."""
    kurtosis = (a.size + b.size) * (a.fourths + b.fourths) / (a.squares + b.squares) ** 2
    first, second = (np.sqrt((kurtosis - (s.size - 3) / s.size) / (s.size - 1)) for s in (a, b))
    return float(first), float(second)


def _own_errors(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Errors of three or more groups whose sums best fit those of the pairs, shape (groups,)."""
    k = len(samples)
    pairs = np.zeros((k, k))
    for i, j in combinations(range(k), 2):
        pairs[i, j] = pairs[j, i] = np.hypot(*_errors_of_pair(samples[i], samples[j]))
    errors: NDArray[np.float64] = (pairs.sum(axis=0) - pairs.sum() / 2 / (k - 1)) / (k - 2)
    return errors


def _bonett_ratio_z(a: Sample, b: Sample) -> float:
    """Normal quantile at which the interval of the ratio of variances reaches 1."""
    from scipy.optimize import brentq

    if a.sd < b.sd:
        a, b = b, a
    ratio, error = float(2 * np.log(a.sd / b.sd)), float(np.hypot(*_errors_of_pair(a, b)))
    if a.size == b.size:
        return ratio / error

    def end(z: float) -> float:
        equalizer = np.log1p(-z / b.size) - np.log1p(-z / a.size)
        return float(equalizer + ratio - z * error)

    # If the group that varies more is the smaller one, `end` may have two zeros or none.
    grid = np.linspace(0, min(a.size, b.size), 1000, endpoint=False)
    below = np.flatnonzero([end(z) <= 0 for z in grid])
    if below.size == 0:
        return float(grid[-1])
    if below[0] == 0:
        return 0.0
    return float(brentq(end, grid[below[0] - 1], grid[below[0]]))
