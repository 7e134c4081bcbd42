"""The decision of a test."""

import numpy as np

REJECTED = "rejected"
NOT_REJECTED = "not rejected"


def decision(p: float, alpha: float) -> str:
    """Whether the null hypothesis is rejected at level `alpha`; empty if p is NaN."""
    if np.isnan(p):
        return ""
    return REJECTED if p <= alpha else NOT_REJECTED
