"""Wilson's interval against published ones, and the bootstrap by how often it covers the mean."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from resilience.analysis.risk import bootstrap_interval, wilson_interval


@pytest.mark.parametrize(
    ("x", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)  # fmt: skip
def test_wilson_s_interval_is_newcombe_s(x: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3."""
    assert np.round(wilson_interval(x, n, 0.05), 4).tolist() == [low, high]


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_wilson_s_interval_is_statsmodels(alpha: float) -> None:
    n = np.repeat(np.array([1, 2, 7, 100, 10**6]), 4)
    x = np.concatenate([[0, 1, size // 2, size] for size in (1, 2, 7, 100, 10**6)])
    expected = proportion_confint(x, n, alpha, method="wilson")
    np.testing.assert_allclose(wilson_interval(x, n, alpha), expected, rtol=1e-9, atol=1e-12)


def test_an_unknown_number_has_no_interval_and_bounds_are_exact() -> None:
    assert np.isnan(wilson_interval(np.nan, 5, 0.05)).all()
    assert wilson_interval(0, 3, 0.05)[0] == 0
    assert wilson_interval(3, 3, 0.05)[1] == 1


def test_the_bootstrap_covers_the_mean_where_images_do_not() -> None:
    """Faults differ far more than the images of one: an interval of images is far too short."""
    rng = np.random.default_rng(0)
    runs, draws, images = 400, 60, 200
    harm = rng.beta(0.3, 1.2, size=(runs, draws))  # mean 0.2
    changed = rng.binomial(images, harm)
    covered = [
        low <= 0.2 <= high
        for low, high, _ in (bootstrap_interval(row / images, 0.05, 0) for row in changed)
    ]
    low, high = wilson_interval(changed.sum(axis=1), draws * images, 0.05)
    naive = ((low <= 0.2) & (high >= 0.2)).mean()
    assert 0.91 <= np.mean(covered) <= 0.97
    assert naive < 0.35


def test_the_bootstrap_is_that_of_resampling_values() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.1, 0.5, 0.9, 0.2, 0.0])
    rng = np.random.default_rng(1)
    means = rng.choice(values, size=(20000, len(values))).mean(axis=1)
    low, high, note = bootstrap_interval(values, 0.1, 0)
    assert note == ""
    np.testing.assert_allclose([low, high], np.quantile(means, [0.05, 0.95]), atol=0.02)
    assert bootstrap_interval(values[::-1], 0.1, 0) == (low, high, note)


@pytest.mark.parametrize(
    ("values", "note"), [([0.3], "one draw"), ([0.0, 0.0, 0.0], "all draws equal")]
)
def test_what_has_no_spread_has_a_note(values: list[float], note: str) -> None:
    low, high, said = bootstrap_interval(np.array(values), 0.05, 0)
    assert np.isnan([low, high]).all()
    assert said == note
