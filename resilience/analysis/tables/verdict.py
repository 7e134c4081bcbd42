"""The decision that a p-value leads to, in words."""

import numpy as np

REJECTED = "rejected"
NOT_REJECTED = "not rejected"


def decision(p: float, alpha: float) -> str:
    """Whether the null hypothesis is rejected at `alpha`; empty without a p."""
    if np.isnan(p):
        return ""
    return REJECTED if p <= alpha else NOT_REJECTED
