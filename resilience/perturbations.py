"""What a fault writes: rules that turn the values of struck weights into new ones.

A perturbation is any callable `perturb(values, weight, rng)`. It gets the values at the struck
sites of one layer, shape (faults,), that layer's whole untouched weight tensor, and the trial's
generator, and returns the new values, shape (faults,).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Perturbation(Protocol):
    """The rule that makes the value after a fault from the value before it."""

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
        """New values of one layer's struck weights, shape (faults,)."""


@dataclass(frozen=True, slots=True)
class Zero:
    """Write 0."""

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
        """Zeros, shape (faults,)."""
        return torch.zeros_like(values)


@dataclass(frozen=True, slots=True)
class Random:
    """Write values drawn evenly from an interval.

    Attributes
    ----------
    low, high
        The interval's ends, used with `span="fixed"`.
    span
        `"fixed"`: from `low` to `high`. `"layer"`: from the smallest to the largest weight of
        the struck layer before any fault.
    """

    low: float = -1.0
    high: float = 1.0
    span: str = "fixed"

    def __post_init__(self) -> None:
        if self.span not in ("fixed", "layer"):
            raise ValueError(f"perturb.span must be fixed or layer, got {self.span!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(
                f"perturb.low and perturb.high must be finite and in this order, "
                f"got {self.low} and {self.high}"
            )

    def __call__(self, values: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
        """Values of U(low, high), shape (faults,), rounded to the weights' type."""
        low, high = self.low, self.high
        if self.span == "layer":
            low, high = (float(end) for end in torch.aminmax(weight))
        return torch.from_numpy(rng.uniform(low, high, values.shape[0])).to(values.dtype)
