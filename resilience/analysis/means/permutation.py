"""Permutation tests of effects, which permute the residuals of the reduced model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resilience.analysis.means.design import Design

RESAMPLES = 9_999
BATCH = 40_000
"""Observations permuted at a time; more would not fit into the processor's cache."""
TIE = 1 - 1e-9
"""A permuted F this close to the observed F differs only by rounding."""


def permutation_p(
    design: Design,
    values: NDArray[np.float64],
    bases: Sequence[NDArray[np.float64]],
    seed: int,
) -> NDArray[np.float64]:
    """p-value of each effect and response, shape (effects, responses).

    It is (1 + number of permuted F not below the observed F) / (1 + RESAMPLES). The residuals of
    the model without the effect are permuted among all observations, with the same permutations
    for all effects and responses (Freedman and Lane 1983, A nonstochastic interpretation of
    reported significance levels). The full model has one mean per cell. With a single factor this
    is the exact test that permutes the observations.

    Parameters
    ----------
    design
        Cells of the observations.
    values
        Responses, shape (observations, responses), each centred and not constant within all cells.
    bases
        Basis of each effect, shape (cells, degrees of freedom), from `effect_basis`.
    seed
        Seed of the permutations.
    """
    from scipy.sparse import csr_array

    observations, responses = values.shape
    roots = np.sqrt(design.counts)[:, None]
    means = design.cell_sums(values) / roots**2
    within = values - means[design.codes]
    added = [b @ (b.T @ (roots * means)) / roots for b in bases]
    reduced = np.hstack([within + cells[design.codes] for cells in added])
    norms = (reduced**2).sum(axis=0).reshape(len(bases), responses)

    def ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of squares, effect over residual, shape (permutations, effects, responses)."""
        scaled = sums.reshape(-1, len(roots), len(bases), responses) / roots[:, :, None]
        explained = (scaled**2).sum(axis=1)
        parts = [((b.T @ scaled[:, :, i]) ** 2).sum(axis=1) for i, b in enumerate(bases)]
        residual = np.maximum(norms - explained, 0.0)
        ratio: NDArray[np.float64] = np.stack(parts, axis=1) / residual
        return ratio

    observed = TIE * ratios(design.cell_sums(reduced))[0]
    rng = np.random.default_rng(seed)
    batch = max(1, BATCH // observations)
    order = np.tile(np.arange(observations), (batch, 1))
    reached = np.zeros_like(observed)
    with np.errstate(divide="ignore", invalid="ignore"):  # a permutation may leave no residual
        for done in range(0, RESAMPLES, batch):
            shuffled = rng.permuted(order[: RESAMPLES - done], axis=1)
            # Each row of this matrix sums the observations of one cell in one permutation.
            starts = observations * np.arange(len(shuffled))[:, None] + design.starts
            ends = np.append(starts, shuffled.size)
            shape = (starts.size, observations)
            sums = csr_array((np.ones(shuffled.size), shuffled.ravel(), ends), shape) @ reduced
            reached += (ratios(sums) >= observed).sum(axis=0)
    p: NDArray[np.float64] = (1 + reached) / (1 + RESAMPLES)
    return p
