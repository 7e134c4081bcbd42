"""How memory holds numbers: formats, their bits, and rounding into them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bits = int | str | Sequence[int | str]
"""Bits by number (0 is the least significant), range (`23-30`), field, or a list of these."""

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class Format:
    """A format of numbers in memory.

    Attributes
    ----------
    dtype
        torch's type of the same bits.
    fields
        Numbers of the bits of `sign`, `exponent` and `mantissa`, of those that it has.
    """

    name: str
    dtype: torch.dtype
    fields: Mapping[str, range]

    @property
    def width(self) -> int:
        """Number of bits."""
        return 8 * self.dtype.itemsize

    def positions(self, bits: Bits) -> NDArray[np.int64]:
        """Numbers of the bits that are meant, distinct and sorted.

        Raises
        ------
        ValueError
            For a number that is too large, a field that the format has not, or another word.
        """
        named = [bits] if isinstance(bits, int | str) else bits
        if not named:
            raise ValueError("perturb.bits names no bits")
        return np.unique(np.concatenate([self._meant(each) for each in named]))

    def _meant(self, bits: int | str) -> NDArray[np.int64]:
        if bits == "any":
            return np.arange(self.width)
        if bits in self.fields:
            return np.array(self.fields[str(bits)])
        matched = re.fullmatch(r"(\d+)(?:-(\d+))?", str(bits))
        if not matched:
            raise ValueError(
                f"perturb.bits={bits} means nothing in {self.name}; it has bits 0 to "
                f"{self.width - 1} and the fields {', '.join([*self.fields, 'any'])}"
            )
        start, end = int(matched[1]), int(matched[2] or matched[1])
        if not start <= end < self.width:
            raise ValueError(
                f"perturb.bits={bits} is no range of bits of {self.name}, which are numbered "
                f"0 to {self.width - 1}"
            )
        return np.arange(start, end + 1)

    def encode(self, values: Tensor, scale: Tensor | None = None) -> Tensor:
        """What memory holds of values, same shape: the nearest there is, ties to even.

        int8 saturates at -127 and 127, as its range is symmetric.

        Parameters
        ----------
        scale
            Value of one step of int8; None: 1.

        Raises
        ------
        ValueError
            For NaN in int8, which has none.
        """
        if self.dtype != torch.int8:
            return values.to(self.dtype)
        if values.isnan().any():
            raise ValueError("int8 has no nan; use a float format, or a perturbation without nan")
        steps = values if scale is None else values / scale
        return steps.round().clamp(-127, 127).to(torch.int8)

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """The values that memory holds, float32, same shape."""
        values = codes.to(torch.float32)
        return values if scale is None else values * scale


def _float(name: str, dtype: torch.dtype, mantissa: int) -> Format:
    sign = 8 * dtype.itemsize - 1
    fields = {
        "sign": range(sign, sign + 1),
        "exponent": range(mantissa, sign),
        "mantissa": range(mantissa),
    }
    return Format(name, dtype, fields)


FORMATS = {
    made.name: made
    for made in (
        _float("float32", torch.float32, mantissa=23),
        _float("float16", torch.float16, mantissa=10),
        _float("bfloat16", torch.bfloat16, mantissa=7),
        Format("int8", torch.int8, {"sign": range(7, 8)}),
    )
}


def int8_scale(values: Tensor) -> Tensor:
    """Value of one step of int8, for each slice along the first dimension; broadcasts.

    The largest absolute value is 127 steps. A slice of zeros has the smallest scale there is. A
    vector is one slice.
    """
    slices = values.flatten(1) if values.dim() > 1 else values[None]
    largest = slices.abs().amax(1)
    scale = (largest / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return scale.reshape(-1, *[1] * (values.dim() - 1))


def raw_bits(values: Tensor) -> Tensor:
    """The same memory as integers of the same width, same shape."""
    return values.view(_INTEGERS[values.element_size()])
