"""Permutation tests of effects: residuals under the reduced model, permuted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resilience.analysis.means.design import Design

RESAMPLES = 9_999
BATCH = 40_000
"""So many observations are permuted at a time; more would leave the processor's cache."""
TIE = 1 - 1e-9
"""A permuted F this close below the observed one is the same F but for rounding."""


def permutation_p(
    design: Design,
    values: NDArray[np.float64],
    bases: Sequence[NDArray[np.float64]],
    seed: int,
) -> NDArray[np.float64]:
    """Give each effect's p: (1 + number of permuted F that reach its F) / (1 + RESAMPLES).

    After Freedman and Lane (1983), A nonstochastic interpretation of reported significance
    levels: the residuals of the model without the effect are permuted among all observations, the
    same permutations for all effects and responses. The full model is saturated: one mean per
    cell. With one factor this is the exact test that permutes the observations.

    Parameters
    ----------
    design
        The cells.
    values
        Responses, shape (observations, responses), each centred and not constant within all cells.
    bases
        Of each effect, shape (cells, degrees of freedom), from `effect_basis`.
    seed
        Of the permutations.

    Returns
    -------
    NDArray
        Shape (effects, responses).
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
        """Effect's over residual sum of squares, shape (permutations, effects, responses)."""
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
            # Each row of this matrix sums what one permutation puts into one cell.
            starts = observations * np.arange(len(shuffled))[:, None] + design.starts
            ends = np.append(starts, shuffled.size)
            shape = (starts.size, observations)
            sums = csr_array((np.ones(shuffled.size), shuffled.ravel(), ends), shape) @ reduced
            reached += (ratios(sums) >= observed).sum(axis=0)
    p: NDArray[np.float64] = (1 + reached) / (1 + RESAMPLES)
    return p
