"""Sample sizes of statistical fault injection."""

import math
from statistics import NormalDist

WORST_P = 0.5
"""The proportion that requires the largest sample; assumed if nothing is known."""


def corrected_size(population: int, margin: float, t: float, p: float = WORST_P) -> float:
    """Size of a sample without replacement, as a real number: N / (1 + e² (N-1) / (t² p (1-p))).

    Leveugle, Calvez, Maistri and Vanhauwaert, "Statistical fault injection: quantified error and
    confidence", DATE 2009; N is the number of faults in the population, e the margin of error and
    t the quantile of the normal distribution.
    """
    return population / (1 + margin**2 * (population - 1) / (t**2 * p * (1 - p)))


def sample_size(population: int, margin: float, confidence: float, p: float = WORST_P) -> int:
    """Smallest number of faults that estimates a proportion to within a margin of error.

    A stratified campaign (Ruospo et al., "Assessing convolutional neural networks reliability
    through statistical fault injections", DATE 2023) takes such a sample from each stratum: each
    layer, or each bit of each layer.

    Parameters
    ----------
    population
        Number of all possible faults.
    margin
        Half the width of the confidence interval, a proportion.
    confidence
        Its level, such as 0.99.
    p
        Expected proportion.
    """
    t = NormalDist().inv_cdf((1 + confidence) / 2)
    return math.ceil(corrected_size(population, margin, t, p))
