"""What a fault writes: perturbations, for `draw_faults` and for `perturb._target_`."""

from resilience.faults.bit_perturbations import BitFlip, BitPerturbation, StuckAt
from resilience.faults.perturbations import (
    Constant,
    Gaussian,
    Perturbation,
    Random,
    Scale,
    Sign,
    WholeTensorPerturbation,
    Zero,
)

__all__ = [
    "BitFlip",
    "BitPerturbation",
    "Constant",
    "Gaussian",
    "Perturbation",
    "Random",
    "Scale",
    "Sign",
    "StuckAt",
    "WholeTensorPerturbation",
    "Zero",
]
