"""What a fault writes: rules on values, and rules on single bits."""

from resilience.faults.perturbations.bits import BitFlip, BitPerturbation, StuckAt
from resilience.faults.perturbations.values import (
    AnyPerturbation,
    Constant,
    Gaussian,
    Perturbation,
    Random,
    Scale,
    Sign,
    Strike,
    WholeTensorPerturbation,
    Zero,
)

__all__ = [
    "AnyPerturbation",
    "BitFlip",
    "BitPerturbation",
    "Constant",
    "Gaussian",
    "Perturbation",
    "Random",
    "Scale",
    "Sign",
    "Strike",
    "StuckAt",
    "WholeTensorPerturbation",
    "Zero",
]
