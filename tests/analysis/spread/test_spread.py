"""Bonett's interval, Banga and Fox's test, against print and by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from resilience.analysis.means import range_isf, range_sf
from resilience.analysis.spread.samples import (
    Sample,
    banga_fox,
    bonett_interval,
    chi_square_interval,
    multiple_comparison_intervals,
    trimmed_mean,
)

# Minitab's example of a test for equal variances (RoadConditions: Correction Time by Experience
# and RoadType), with its 95 % Bonferroni intervals by Bonett's method.
ROADS = {
    (4, 18, 8, 10): (0.52320, 194.630),
    (23, 15, 21, 13): (0.89964, 74.009),
    (16, 27, 23, 14): (1.01104, 106.529),
    (6, 4, 13, 7): (0.31299, 140.776),
    (2, 6, 8, 12): (0.42041, 121.108),
    (20, 15, 8, 17): (0.45310, 168.555),
}
# Minitab's example of a test for two variances (HospitalComparison), hospital A.
HOSPITAL = (81, 77, 75, 74, 86, 90, 62, 73, 91, 98, 81, 85, 77, 78, 83, 90, 78, 76, 71, 80)


def sample(values: object) -> Sample:
    array = np.asarray(values, float)
    return Sample(array, len(array) - 1)


@pytest.mark.parametrize(
    ("level", "low", "high"),
    [(0.90, 0.3592, 0.9359), (0.95, 0.3263, 1.0841), (0.99, 0.2607, 1.5109)],
)
def test_bonett_interval_of_the_publication(level: float, low: float, high: float) -> None:
    published = sample([15.83, 16.01, 16.24, 16.42, 15.33, 15.44, 16.88, 16.31])
    assert published.sd == pytest.approx(0.5168, abs=5e-5)
    assert bonett_interval(published, level) == pytest.approx((low, high), abs=5e-5)


def test_bonett_interval_of_minitab_with_a_fraction_trimmed() -> None:
    assert bonett_interval(sample(HOSPITAL), 0.95) == pytest.approx((5.893, 12.597), abs=5e-4)


@pytest.mark.parametrize(("values", "interval"), ROADS.items())
def test_bonett_interval_of_minitab_in_small_groups(
    values: tuple[int, ...], interval: tuple[float, float]
) -> None:
    level = 1 - 0.05 / len(ROADS)
    assert bonett_interval(sample(values), level) == pytest.approx(interval, rel=2e-5)


def test_banga_fox_of_minitab() -> None:
    _, p = banga_fox([sample(values) for values in ROADS])
    assert p == pytest.approx(0.943, abs=5e-4)


def test_chi_square_interval_of_minitab() -> None:
    # Minitab's manual calculation of a Bonferroni interval (CarLockRatings, method 1): n = 33,
    # variance 1.02841, two groups, upper end 1.39977.
    values = np.linspace(-1, 1, 33)
    scaled = sample(values * np.sqrt(1.02841 / values.var(ddof=1)))
    _, high = chi_square_interval(scaled, 1 - 0.05 / 2)
    assert high == pytest.approx(1.39977, abs=5e-6)


def test_trimmed_mean_of_ten_cuts_two_and_a_little() -> None:
    values = np.array([100.0, 1, 2, 3, 4, 5, 6, 7, 8, -100])
    cut = 10 / (2 * np.sqrt(6)) - 2
    weights = np.array([1 - cut, 1, 1, 1, 1, 1 - cut])
    assert trimmed_mean(values) == pytest.approx(weights @ [2, 3, 4, 5, 6, 7] / weights.sum())


def test_trimmed_mean_of_five_is_the_median_and_of_four_the_mean() -> None:
    assert trimmed_mean(np.array([9.0, 1, 2, 4, 0])) == 2
    assert trimmed_mean(np.array([9.0, 1, 2, 4])) == 4


@pytest.mark.parametrize("k", [2, 3, 5, 20])
@pytest.mark.parametrize("df", [2.0, 7.5, 27.0, np.inf])
def test_studentized_range_is_that_of_scipy(k: int, df: float) -> None:
    for q in (0.5, 3.5, 6.0):
        assert range_sf(q, k, df) == pytest.approx(stats.studentized_range.sf(q, k, df), abs=1e-8)
    expected = stats.studentized_range.ppf(0.95, k, df)
    assert range_isf(0.05, k, df) == pytest.approx(expected, rel=1e-6)


def test_studentized_range_of_two_is_student_far_into_the_tail() -> None:
    for q, df in [(30.0, 4.0), (200.0, 5.0), (20.0, 30.0)]:
        expected = 2 * stats.t.sf(q / np.sqrt(2), df)
        assert range_sf(q, 2, df) == pytest.approx(expected, rel=1e-3)
    assert range_sf(12.0, 2) == pytest.approx(2 * stats.norm.sf(12 / np.sqrt(2)), rel=1e-3)


@pytest.mark.parametrize("sizes", [(10, 10), (10, 10, 10), (8, 12, 20), (6, 9)])
def test_the_intervals_overlap_until_the_test_rejects(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    checked = 0
    for _ in range(60):
        spreads = rng.uniform(0.2, 2, len(sizes))
        samples = [sample(s * rng.standard_normal(n)) for s, n in zip(spreads, sizes, strict=True)]
        _, p = banga_fox(samples)
        intervals = multiple_comparison_intervals(samples, 0.05)
        if any(low > high for low, high in intervals):
            continue
        lows, highs = zip(*intervals, strict=True)
        assert (max(lows) > min(highs)) == (p < 0.05)
        checked += 1
    assert checked > 30


def test_two_groups_of_one_size_are_compared_by_bonett() -> None:
    rng = np.random.default_rng(6)
    a, b = sample(rng.standard_normal(12)), sample(2 * rng.standard_normal(12))
    kurtosis = 24 * (a.fourths + b.fourths) / (a.squares + b.squares) ** 2
    error = np.sqrt(2 * (kurtosis - 9 / 12) / 11)
    z, p = banga_fox([a, b])
    assert z == pytest.approx(abs(np.log(a.sd**2 / b.sd**2)) / error)
    assert p == pytest.approx(2 * stats.norm.sf(z))


def test_unequal_sizes_approach_equal_ones() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal(400), 1.1 * rng.standard_normal(401)
    _, unequal = banga_fox([sample(a), sample(b)])
    _, equal = banga_fox([sample(a), sample(b[:400])])
    assert 0.001 < unequal < 0.5
    assert unequal == pytest.approx(equal, rel=0.1)


def rejections(draw: NDArray[np.float64]) -> float:
    return float(np.mean([banga_fox([sample(x) for x in groups])[1] < 0.05 for groups in draw]))


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_banga_fox_rejects_seldom_under_the_null(groups: int) -> None:
    rng = np.random.default_rng(1)
    normal = rejections(rng.standard_normal((800, groups, 10)))
    skewed = rejections(rng.lognormal(sigma=0.8, size=(800, groups, 10)))
    assert 0.01 < normal < 0.06
    assert 0.02 < skewed < 0.11


def test_banga_fox_sees_a_large_difference() -> None:
    rng = np.random.default_rng(2)
    draw = rng.standard_normal((200, 3, 20)) * np.array([1.0, 1.0, 4.0])[:, None]
    assert rejections(draw) > 0.9


def test_intervals_cover_the_standard_deviation() -> None:
    rng = np.random.default_rng(3)
    normal = rng.standard_normal((1500, 10))
    skewed = rng.lognormal(sigma=0.5, size=(1500, 10))
    true_skewed = stats.lognorm(0.5).std()

    def coverage(interval: object, draw: NDArray[np.float64], sd: float) -> float:
        found = [interval(sample(x), 0.95) for x in draw]  # type: ignore[operator]
        return float(np.mean([low <= sd <= high for low, high in found]))

    assert 0.935 < coverage(chi_square_interval, normal, 1.0) < 0.965
    assert 0.94 < coverage(bonett_interval, normal, 1.0) < 0.99
    assert coverage(bonett_interval, skewed, true_skewed) > 0.88
    assert coverage(chi_square_interval, skewed, true_skewed) < 0.88
