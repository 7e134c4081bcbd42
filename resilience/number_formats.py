"""The formats in which memory holds numbers, and what their bits mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resilience.system.errors import UserError

Bits = int | str | Sequence[int | str]
"""Bits by number (0 is the least significant), range (`23-30`), field, or a list of these."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A format of numbers in memory.

    Attributes
    ----------
    width
        Number of bits.
    fields
        Bit numbers of `sign`, `exponent` and `mantissa`, as far as the format has them.
    """

    name: str
    width: int
    fields: Mapping[str, range]

    def positions(self, bits: Bits) -> NDArray[np.int64]:
        """Numbers of the bits that are meant, distinct and sorted.

        Raises
        ------
        UserError
            For a number that is too large, a field that the format lacks, or any other word.
        """
        named = [bits] if isinstance(bits, int | str) else bits
        if not named:
            raise UserError("perturb.bits names no bits")
        return np.unique(np.concatenate([self._meant(each) for each in named]))

    def field_of(self, bit: int) -> str:
        """Field that a bit belongs to; empty where it has no name."""
        return next((name for name, bits in self.fields.items() if bit in bits), "")

    def _meant(self, bits: int | str) -> NDArray[np.int64]:
        if bits == "any":
            return np.arange(self.width)
        if bits in self.fields:
            return np.array(self.fields[str(bits)])
        matched = re.fullmatch(r"(\d+)(?:-(\d+))?", str(bits))
        if not matched:
            raise UserError(
                f"perturb.bits={bits} means nothing in {self.name}; it has bits 0 to "
                f"{self.width - 1} and the fields {', '.join([*self.fields, 'any'])}"
            )
        start, end = int(matched[1]), int(matched[2] or matched[1])
        if not start <= end < self.width:
            raise UserError(
                f"perturb.bits={bits} is not a range of bits of {self.name}, whose bits are "
                f"numbered 0 to {self.width - 1}"
            )
        return np.arange(start, end + 1)


def _float(name: str, width: int, mantissa: int) -> NumberFormat:
    sign = width - 1
    fields = {
        "sign": range(sign, width),
        "exponent": range(mantissa, sign),
        "mantissa": range(mantissa),
    }
    return NumberFormat(name, width, fields)


FORMATS = {
    made.name: made
    for made in (
        _float("float32", 32, mantissa=23),
        _float("float16", 16, mantissa=10),
        _float("bfloat16", 16, mantissa=7),
        NumberFormat("int8", 8, {"sign": range(7, 8)}),
    )
}
