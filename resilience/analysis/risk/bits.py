"""What the bits of a number mean in the formats that numbers are stored in."""

FIELDS = {
    "float32": {"mantissa": range(23), "exponent": range(23, 31), "sign": range(31, 32)},
    "float16": {"mantissa": range(10), "exponent": range(10, 15), "sign": range(15, 16)},
    "bfloat16": {"mantissa": range(7), "exponent": range(7, 15), "sign": range(15, 16)},
    "int8": {"sign": range(7, 8)},
}
"""Bits of each field, 0 the least significant, by format."""


def field_of(number_format: str, bit: int) -> str:
    """Field that a bit belongs to; empty where it has no name."""
    fields = FIELDS.get(number_format, {})
    return next((name for name, bits in fields.items() if bit in bits), "")
