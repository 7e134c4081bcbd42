"""Formats: which bits there are, and rounding into them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from resilience.faults.formats import FORMATS, Bits, Format, int8_scale, raw_bits

ALL = list(FORMATS.values())
FLOATS = [made for made in ALL if made.dtype.is_floating_point]
finite = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50).map(torch.tensor)


@pytest.mark.parametrize("format", FLOATS, ids=lambda made: made.name)
def test_fields_are_those_that_ieee_754_and_torch_know(format: Format) -> None:
    of_one = int(raw_bits(torch.ones(1, dtype=format.dtype))) & (1 << format.width) - 1
    mantissa, exponent, sign = (format.fields[name] for name in ("mantissa", "exponent", "sign"))
    assert 2 ** -len(mantissa) == torch.finfo(format.dtype).eps
    assert of_one == (2 ** (len(exponent) - 1) - 1) << exponent.start
    assert [*mantissa, *exponent, *sign] == list(range(format.width))


@pytest.mark.parametrize(
    ("format", "bits", "expected"),
    [
        ("float32", 30, [30]),
        ("float32", "30", [30]),
        ("float32", "23-30", list(range(23, 31))),
        ("float32", "exponent", list(range(23, 31))),
        ("float16", ["sign", "exponent"], list(range(10, 16))),
        ("bfloat16", "mantissa", list(range(7))),
        ("int8", "sign", [7]),
        ("int8", "any", list(range(8))),
        ("float32", [3, "1-3", 0], [0, 1, 2, 3]),
    ],
)
def test_bits_are_named_by_number_range_and_field(
    format: str, bits: Bits, expected: list[int]
) -> None:
    assert FORMATS[format].positions(bits).tolist() == expected


@pytest.mark.parametrize(
    ("format", "bits", "said"),
    [
        ("int8", "exponent", "bits=exponent means nothing in int8; .* fields sign, any"),
        ("int8", "mantissa", "bits=mantissa means nothing in int8"),
        ("float16", 16, "bits=16 is no range of bits of float16, which are numbered 0 to 15"),
        ("float32", "30-23", "no range of bits"),
        ("float32", -1, "means nothing"),
        ("float32", "1-", "means nothing"),
        ("float32", "parity", "means nothing"),
        ("float32", [], "names no bits"),
    ],
)
def test_bits_that_a_format_has_not_are_refused(format: str, bits: Bits, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FORMATS[format].positions(bits)


@given(bits=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_float32_keeps_every_bit(bits: list[int]) -> None:
    raw = torch.tensor(bits, dtype=torch.int32)
    values = raw.view(torch.float32)
    held = FORMATS["float32"].decode(FORMATS["float32"].encode(values))
    assert torch.equal(raw_bits(held), raw)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@given(values=finite)
def test_short_floats_round_as_numpy_does(name: str, values: Tensor) -> None:
    format = FORMATS[name]
    held = format.decode(format.encode(values))
    assert torch.equal(format.decode(format.encode(held)), held)
    if name == "float16":
        assert np.array_equal(held.numpy(), values.numpy().astype(np.float16).astype(np.float32))
    spacing = torch.finfo(format.dtype).eps
    tiny = torch.finfo(format.dtype).smallest_normal
    assert bool(((held - values).abs() <= spacing / 2 * values.abs().clamp_min(tiny)).all())


@given(values=finite)
def test_int8_is_off_by_half_a_step_at_most(values: Tensor) -> None:
    scale = int8_scale(values[None])[0]
    held = FORMATS["int8"].decode(FORMATS["int8"].encode(values, scale), scale)
    assert bool(((held - values).abs() <= scale * (0.5 + 1e-4)).all())
    largest = values.abs().argmax()
    if scale > torch.finfo(torch.float32).tiny:  # below it, steps would be no normal numbers
        assert math.isclose(held[largest], values[largest], rel_tol=1e-6)


def test_int8_rounds_to_even_and_saturates() -> None:
    values = torch.tensor([0.5, 1.5, 2.5, -0.5, 126.6, 500.0, -500.0, math.inf, -math.inf])
    codes = FORMATS["int8"].encode(values)
    assert codes.tolist() == [0, 2, 2, 0, 127, 127, -127, 127, -127]
    with pytest.raises(ValueError, match="int8 has no nan"):
        FORMATS["int8"].encode(torch.tensor([math.nan]))


def test_int8_has_a_step_of_its_own_for_each_slice_along_the_first_dimension() -> None:
    values = torch.tensor([[1.0, -2.54], [127.0, 0.0], [0.0, 0.0]])
    scale = int8_scale(values)
    assert scale.shape == (3, 1)
    assert scale.flatten().tolist() == pytest.approx([0.02, 1.0, 0.0])
    assert bool((scale > 0).all())
    assert int8_scale(torch.ones(2, 3, 4, 4)).shape == (2, 1, 1, 1)
