"""What faults write."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm, uniform

from resilience.faults.memory import DTYPES, encode, raw_bits
from resilience.faults.perturbations import Constant, Gaussian, Random, Scale, Sign, Strike, Zero
from resilience.number_formats import FORMATS

VALUES, WEIGHT = torch.full((20_000,), 7.0), torch.linspace(-0.25, 0.5, 101)


def test_zero_writes_zeros() -> None:
    assert torch.equal(Zero()(VALUES, np.random.default_rng(0)), torch.zeros(20_000))


def test_random_is_uniform_between_minus_one_and_one() -> None:
    drawn = Random()(VALUES, WEIGHT, np.random.default_rng(0))
    assert drawn.dtype == torch.float32
    assert kstest(drawn.numpy(), uniform(-1, 2).cdf).pvalue > 0.01


@given(low=st.floats(-1e3, 1e3), width=st.floats(0, 1e3))
def test_random_stays_in_its_interval(low: float, width: float) -> None:
    drawn = Random(low, low + width)(VALUES[:100], WEIGHT, np.random.default_rng(0))
    ends = torch.tensor([low, low + width]).tolist()  # float64 rounds to the weights' type
    assert ends[0] <= drawn.min()
    assert drawn.max() <= ends[1]


def test_random_may_span_the_layers_own_range() -> None:
    drawn = Random(span="layer")(VALUES, WEIGHT, np.random.default_rng(0))
    assert kstest(drawn.numpy(), uniform(-0.25, 0.75).cdf).pvalue > 0.01


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


@pytest.mark.parametrize("sd", [-1.0, math.inf, math.nan])
def test_noise_without_a_standard_deviation_is_refused(sd: float) -> None:
    with pytest.raises(ValueError, match="sd must be finite and not negative"):
        Gaussian(sd)


def test_a_constant_may_be_anything() -> None:
    for value in (0.25, math.inf, -math.inf):
        assert Constant(value)(VALUES, np.random.default_rng(0)).unique().item() == value


@pytest.mark.parametrize("nan", [math.nan, -math.nan, yaml.safe_load(".nan")])
def test_constant_writes_the_same_nan_however_it_was_spelled(nan: float) -> None:
    written = Constant(nan)(VALUES, np.random.default_rng(0))
    assert raw_bits(written).unique().tolist() == [0x7FC00000]


@given(bits=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_sign_changes_the_sign_bit_and_no_other(bits: list[int]) -> None:
    raw = torch.tensor(bits, dtype=torch.int32)
    after = Sign()(raw.view(torch.float32), np.random.default_rng(0))
    assert torch.equal(raw_bits(after), raw ^ -(2**31))


def test_scale_multiplies() -> None:
    assert Scale(-0.5)(VALUES, np.random.default_rng(0)).unique().item() == -3.5


@pytest.mark.parametrize(
    ("relative", "sd"), [(False, 0.1), (True, 0.1 * float(WEIGHT.std(correction=0)))]
)
def test_gaussian_noise_is_absolute_or_in_units_of_the_layers_spread(
    relative: bool, sd: float
) -> None:
    noisy = Gaussian(0.1, relative)(VALUES, WEIGHT, np.random.default_rng(0))
    assert kstest(noisy.numpy() - 7, norm(0, sd).cdf).pvalue > 0.01


def strike(perturb: Any, format: str = "float32", scale: float | None = None) -> torch.Tensor:
    held = FORMATS[format]
    codes = encode(torch.tensor([1.0, -2.0, 3.0]), held)
    scales = None if scale is None else torch.full((3,), scale)
    after, bits = Strike(perturb)(codes, scales, held, WEIGHT, np.random.default_rng(0))
    assert bits is None
    assert after.dtype == DTYPES[format]
    return after


def test_what_is_written_is_rounded_into_the_format() -> None:
    assert strike(Constant(0.1), "float16").tolist() == [float(np.float16(0.1))] * 3
    assert strike(Constant(1e6), "float16").tolist() == [math.inf] * 3
    assert strike(Constant(0.1), "int8", 0.03).tolist() == [3] * 3
    assert strike(Constant(math.inf), "int8", 0.03).tolist() == [127] * 3
    assert strike(Scale(100.0), "int8", 0.5).tolist() == [100, -127, 127]
    with pytest.raises(ValueError, match="int8 has no nan"):
        strike(Constant(math.nan), "int8", 0.03)


class Halved:
    def __call__(self, values: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return values / 2


class HalvedIfWhole:
    takes_weight = True

    def __call__(
        self, values: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        return values / 2 if weight is WEIGHT else values


class Refusing:
    takes_weight = False

    def __call__(self, values: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return values / 2


@pytest.mark.parametrize(
    "perturb",
    [
        Halved(),
        lambda values, rng: values / 2,
        HalvedIfWhole(),
        Refusing(),
        partial(lambda by, values, rng: values / by, 2),
        lambda values, rng, by=2: values / by,
    ],
)
def test_a_users_own_takes_values_and_a_generator_and_the_whole_tensor_if_it_says_so(
    perturb: Any,
) -> None:
    assert strike(perturb).tolist() == [0.5, -1.0, 1.5]


def test_a_users_own_must_give_a_value_for_each_element() -> None:
    with pytest.raises(ValueError, match=r"gave values of shape \(2,\) for 3 faults"):
        strike(lambda values, rng: values[:2])
