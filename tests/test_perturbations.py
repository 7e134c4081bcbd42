"""What faults write."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from resilience.perturbations import Random, Zero

VALUES, WEIGHT = torch.full((20_000,), 7.0), torch.linspace(-0.25, 0.5, 101)


def test_zero_writes_zeros() -> None:
    assert torch.equal(Zero()(VALUES, WEIGHT, np.random.default_rng(0)), torch.zeros(20_000))


def test_random_is_uniform_between_minus_one_and_one() -> None:
    drawn = Random()(VALUES, WEIGHT, np.random.default_rng(0))
    assert drawn.dtype == torch.float32
    assert kstest(drawn.numpy(), "uniform", args=(-1, 2)).pvalue > 0.01


@given(low=st.floats(-1e3, 1e3), width=st.floats(0, 1e3))
def test_random_stays_in_its_interval(low: float, width: float) -> None:
    drawn = Random(low, low + width)(VALUES[:100], WEIGHT, np.random.default_rng(0))
    ends = torch.tensor([low, low + width]).tolist()  # float64 rounds to the weights' type
    assert ends[0] <= drawn.min()
    assert drawn.max() <= ends[1]


def test_random_may_span_the_layers_own_range() -> None:
    drawn = Random(span="layer")(VALUES, WEIGHT, np.random.default_rng(0))
    assert kstest(drawn.numpy(), "uniform", args=(-0.25, 0.75)).pvalue > 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"span": "network"}, "span must be fixed or layer, got 'network'"),
        ({"low": 1.0, "high": -1.0}, "in this order, got 1.0 and -1.0"),
        ({"high": float("inf")}, "must be finite"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Random(**options)  # type: ignore[arg-type]
