"""Formats: which bits there are, and what they are called."""

import pytest
import torch

from resilience.faults.memory import DTYPES, raw_bits
from resilience.number_formats import FORMATS, Bits, NumberFormat

ALL = list(FORMATS.values())
FLOATS = [made for made in ALL if "exponent" in made.fields]


@pytest.mark.parametrize("format", FLOATS, ids=lambda made: made.name)
def test_fields_are_those_that_ieee_754_and_torch_know(format: NumberFormat) -> None:
    dtype = DTYPES[format.name]
    of_one = int(raw_bits(torch.ones(1, dtype=dtype))) & (1 << format.width) - 1
    mantissa, exponent, sign = (format.fields[name] for name in ("mantissa", "exponent", "sign"))
    assert 2 ** -len(mantissa) == torch.finfo(dtype).eps
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
        (
            "float16",
            16,
            "bits=16 is not a range of bits of float16, whose bits are numbered 0 to 15",
        ),
        ("float32", "30-23", "not a range of bits"),
        ("float32", -1, "means nothing"),
        ("float32", "1-", "means nothing"),
        ("float32", "parity", "means nothing"),
        ("float32", [], "names no bits"),
    ],
)
def test_bits_that_a_format_has_not_are_refused(format: str, bits: Bits, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FORMATS[format].positions(bits)
