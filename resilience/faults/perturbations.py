"""What a fault writes: rules that turn the values of struck elements into new ones.

A perturbation is any callable `perturb(values, rng)`. It gets the values at the struck elements of
one layer, float32, shape (elements,), and a generator, and returns the new values, shape
(elements,), which are rounded into the format of the memory. One that needs the whole layer says so
with an attribute `takes_weight = True` and is called as `perturb(values, weight, rng)`: `weight` is
the layer's whole untouched tensor (of activations and inputs: that of one image).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from resilience.faults.bit_perturbations import BitPerturbation
from resilience.faults.memory import decode, encode
from resilience.number_formats import NumberFormat
from resilience.system.errors import UserError


class Perturbation(Protocol):
    """The rule that makes the value after a fault from the value before it."""

    def __call__(self, values: Tensor, rng: np.random.Generator, /) -> Tensor:
        """New values of one layer's struck elements, shape (elements,)."""


class WholeTensorPerturbation(Protocol):
    """A rule that depends on the whole layer beside the struck values."""

    takes_weight: ClassVar[Literal[True]]

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator, /) -> Tensor:
        """New values of one layer's struck elements, shape (elements,)."""


AnyPerturbation = Perturbation | WholeTensorPerturbation | BitPerturbation


class Strike:
    """Applies a perturbation, of values or of bits, to the contents of memory.

    Attributes
    ----------
    takes_weight
        Whether the perturbation depends on the whole layer.
    """

    def __init__(self, perturb: AnyPerturbation) -> None:
        self._perturb: Any = perturb
        self.takes_weight = getattr(perturb, "takes_weight", False) is True

    def __call__(
        self,
        codes: Tensor,
        scale: Tensor | None,
        format: NumberFormat,
        whole: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Codes, shape (elements,), and masks of struck bits, int64; None for rules on values.

        Parameters
        ----------
        codes
            What memory holds before, of the format's type, shape (elements,).
        scale
            Of each code, in formats that have one.
        whole
            All values of the layer; anything, where the perturbation does not depend on it.

        Raises
        ------
        UserError
            If a rule does not give one value for each element, or one that the format lacks.
        """
        if isinstance(self._perturb, BitPerturbation):
            return self._perturb.strike(codes, format, rng)
        values = decode(codes, scale).clone()
        given = (values, whole, rng) if self.takes_weight else (values, rng)
        new = torch.as_tensor(self._perturb(*given))
        if new.shape != codes.shape:
            raise UserError(
                f"the perturbation gave values of shape {tuple(new.shape)} for {len(codes)} faults"
            )
        return encode(new.to(torch.float32), format, scale), None


@dataclass(frozen=True, slots=True)
class Zero:
    """Write 0."""

    def __call__(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        """Zeros, shape (elements,)."""
        return torch.zeros_like(values)


@dataclass(frozen=True, slots=True)
class Constant:
    """Write one value.

    Attributes
    ----------
    value
        Any; inf and nan too.
    """

    value: float = 1.0

    def __call__(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        """The value, shape (elements,)."""
        # NaN has many bit patterns, and YAML's differs from the command line's.
        return torch.full_like(values, math.nan if math.isnan(self.value) else self.value)


@dataclass(frozen=True, slots=True)
class Sign:
    """Invert the sign."""

    def __call__(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        """The values with inverted sign, shape (elements,)."""
        return -values


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply by a factor."""

    factor: float = 2.0

    def __call__(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        """The values times the factor, shape (elements,)."""
        return values * self.factor


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Add noise with a mean of 0.

    Attributes
    ----------
    sd
        Standard deviation of the noise.
    relative
        Whether `sd` is in units of the standard deviation of the struck layer before any fault.
    """

    takes_weight: ClassVar[Literal[True]] = True

    sd: float = 1.0
    relative: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sd) and self.sd >= 0):
            raise UserError(f"perturb.sd must be finite and not negative, got {self.sd}")

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
        """The values and N(0, sd), shape (elements,)."""
        # On the CPU: other devices sum in another order, which would change the faults.
        unit = float(weight.cpu().float().std(correction=0)) if self.relative else 1.0
        noise = rng.normal(0.0, self.sd * unit, len(values))
        return values + torch.from_numpy(noise).to(values.dtype)


@dataclass(frozen=True, slots=True)
class Random:
    """Write values drawn uniformly from an interval.

    Attributes
    ----------
    low, high
        The interval's ends, used with `span="fixed"`.
    span
        `"fixed"`: from `low` to `high`. `"layer"`: from the smallest to the largest weight of
        the struck layer before any fault.
    """

    takes_weight: ClassVar[Literal[True]] = True

    low: float = -1.0
    high: float = 1.0
    span: str = "fixed"

    def __post_init__(self) -> None:
        if self.span not in ("fixed", "layer"):
            raise UserError(f"perturb.span must be fixed or layer, got {self.span!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise UserError(
                f"perturb.low and perturb.high must be finite and in this order, "
                f"got {self.low} and {self.high}"
            )

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
        """Values of U(low, high), shape (elements,), rounded to their type."""
        low, high = self.low, self.high
        if self.span == "layer":
            low, high = (float(end) for end in torch.aminmax(weight))
        return torch.from_numpy(rng.uniform(low, high, values.shape[0])).to(values.dtype)
