"""Sample sizes as they were published."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from resilience.analysis.power.statistical_injection import corrected_size, sample_size

LEVEUGLE_FAULTS = 4_063_170

# Ruospo et al. 2023: stuck-at faults, two for each of 32 bits, of the weights of each layer. The
# parameters are those of the authors' repository (GabrieleGavarini/ExhaustiveFaultInjection),
# whose samples by layer and by bit add up to the totals below.
RESNET20 = [432, *[2304] * 6, 4608, *[9216] * 3, 9226, 9216, 18432, *[36864] * 5, 640]
MOBILENET_V2 = [
    *(864, 1024, 288, 512, 1536, 864, 2304, 3456, 1296, 3456, 3456, 1296, 4608),
    *(6144, 1728, 6144, 6144, 1728, 6144, 6144, 1728, 12288),
    *(24576, 3456, *[24576, 24576, 3456] * 3, 36864),
    *(55296, 5184, *[55296, 55296, 5184] * 2, 92160),
    *(153600, 8640, *[153600, 153600, 8640] * 2, 307200, 409600, 12800),
]
MARGIN, CUT_OFF = 0.01, 2.58


@pytest.mark.parametrize(
    ("margin", "confidence", "published"),
    [(0.05, 0.95, 385), (0.05, 0.99, 663), (0.01, 0.95, 9581), (0.001, 0.95, 776_792)],
)
def test_the_published_examples_of_leveugle(
    margin: float, confidence: float, published: int
) -> None:
    """Cut-offs with two or three decimals, and rounding up or down: the table mixes them."""
    t = {0.95: 1.96, 0.99: 2.5758}[confidence]
    assert corrected_size(LEVEUGLE_FAULTS, margin, t) == pytest.approx(published, abs=0.9)


@pytest.mark.parametrize(
    ("layers", "network", "by_layer", "by_bit"),
    [(RESNET20, 16_625, 307_650, 4_885_760), (MOBILENET_V2, 16_639, 838_988, 14_894_400)],
    ids=["resnet20", "mobilenet_v2"],
)
def test_the_published_samples_of_ruospo(
    layers: list[int], network: int, by_layer: int, by_bit: int
) -> None:
    def size(population: int) -> int:
        return round(corrected_size(population, MARGIN, CUT_OFF))

    assert size(64 * sum(layers)) == network
    assert sum(size(64 * weights) for weights in layers) == by_layer
    assert sum(32 * size(2 * weights) for weights in layers) == by_bit


@given(st.integers(1, 10**9), st.floats(0.001, 0.2), st.floats(0.8, 0.999), st.floats(0.01, 0.99))
def test_a_sample_reaches_its_margin_and_never_exceeds_the_population(
    population: int, margin: float, confidence: float, p: float
) -> None:
    n = sample_size(population, margin, confidence, p)
    assert 1 <= n <= population
    assert n <= sample_size(population, margin, confidence)
    t = norm.isf((1 - confidence) / 2)

    def half_width(size: int) -> float:
        correction = (population - size) / max(population - 1, 1)
        return float(t * math.sqrt(p * (1 - p) / size * correction))

    assert half_width(n) <= margin * (1 + 1e-9)
    if n > 1:
        assert half_width(n - 1) > margin * (1 - 1e-9)
