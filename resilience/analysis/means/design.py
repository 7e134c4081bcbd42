"""Cells of a factorial design, and orthonormal bases of its effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Effect = tuple[int, ...]
"""Positions of the factors involved: (0,) is a main effect, (0, 1) an interaction."""

RANK_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Design:
    """Assignment of observations to cells; cells without observations are left out.

    Attributes
    ----------
    codes
        Cell of each observation, shape (observations,), ascending.
    levels
        Level of each factor in each cell, shape (cells, factors).
    counts
        Observations in each cell, shape (cells,).
    sizes
        Number of levels of each factor.
    """

    codes: NDArray[np.intp]
    levels: NDArray[np.intp]
    counts: NDArray[np.intp]
    sizes: tuple[int, ...]

    @property
    def effects(self) -> list[Effect]:
        """All main effects, then all interactions, by order."""
        factors = range(len(self.sizes))
        return [e for order in factors for e in combinations(factors, order + 1)]

    @property
    def empty(self) -> int:
        """Number of cells of the full crossing that have no observations."""
        return int(np.prod(self.sizes)) - len(self.counts)

    @property
    def starts(self) -> NDArray[np.intp]:
        """Index of the first observation of each cell, shape (cells,)."""
        return np.cumsum(self.counts) - self.counts

    def cell_sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the observations of each cell, shape (cells, ...)."""
        sums: NDArray[np.float64] = np.add.reduceat(values, self.starts, axis=0)
        return sums


def design_of(rows: pd.DataFrame, factors: Sequence[str]) -> Design:
    """Design of rows sorted by their factors."""
    coded = [np.unique(rows[name].to_numpy(), return_inverse=True) for name in factors]
    sizes = tuple(len(levels) for levels, _ in coded)
    flat = np.ravel_multi_index(tuple(codes for _, codes in coded), sizes)
    cells, codes, counts = np.unique(flat, return_inverse=True, return_counts=True)
    levels = np.stack(np.unravel_index(cells, sizes), axis=1)
    return Design(codes, levels, counts, sizes)


def effect_basis(design: Design, effect: Effect) -> NDArray[np.float64]:
    """Orthonormal basis of an effect by type II, shape (cells, degrees of freedom).

    The basis lives in the space of cell means scaled by the square roots of the cell counts. The
    effect is adjusted for all effects that do not contain it. Contrasts sum to zero.
    """
    lower = [e for e in design.effects if not set(effect) <= set(e)]
    weights = np.sqrt(design.counts)[:, None]
    nothing = np.ones((len(design.counts), 1))
    below = _orthonormal(weights * np.hstack([nothing, *(_contrasts(design, e) for e in lower)]))
    added = weights * _contrasts(design, effect)
    for _ in range(2):  # one pass leaves rounding errors of the projection
        added = added - below @ (below.T @ added)
    return _orthonormal(added, scale=float(np.linalg.norm(weights)))


def _contrasts(design: Design, effect: Effect) -> NDArray[np.float64]:
    columns = np.ones((len(design.counts), 1))
    for factor in effect:
        size = design.sizes[factor]
        coding = np.vstack([np.eye(size - 1), -np.ones((1, size - 1))])
        chosen = coding[design.levels[:, factor]]
        columns = (columns[:, :, None] * chosen[:, None, :]).reshape(len(columns), -1)
    return columns


def _orthonormal(columns: NDArray[np.float64], scale: float = 0.0) -> NDArray[np.float64]:
    from scipy.linalg import qr

    if columns.shape[1] == 0:
        return columns
    q, r, _ = qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(r))
    basis: NDArray[np.float64] = q[:, sizes > RANK_TOLERANCE * max(float(sizes[0]), scale)]
    return basis
