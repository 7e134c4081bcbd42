"""What a fault does to single bits: rules that turn what memory holds into something else."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.formats import Bits, Format, raw_bits

_ONE = np.int64(1)


@dataclass(frozen=True, slots=True)
class BitPerturbation(ABC):
    """Strike some bits of each element.

    Attributes
    ----------
    bits
        Which may be struck: numbers, ranges or fields, see `resilience.faults.formats.Bits`.
    count
        How many of them, distinct, in each element; drawn evenly.
    adjacent
        Whether they are neighbours: a burst.
    """

    bits: Bits = "any"
    count: int = 1
    adjacent: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int | str):
            object.__setattr__(self, "bits", tuple(self.bits))
        if not isinstance(self.count, int) or self.count < 1:
            raise ValueError(
                f"perturb.count must be at least 1 bit, and a whole number, got {self.count}"
            )

    def strike(
        self, codes: Tensor, format: Format, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """What memory holds afterwards, and the bits that were struck as masks, int64.

        Parameters
        ----------
        codes
            What memory holds, of the format's type, shape (elements,).

        Raises
        ------
        ValueError
            If the format has not these bits, or not so many of them.
        """
        mask = torch.from_numpy(self._masks(len(codes), format, rng))
        bits = raw_bits(codes)
        return self.written(bits, mask.to(bits.dtype)).view(codes.dtype), mask

    @abstractmethod
    def written(self, bits: Tensor, mask: Tensor) -> Tensor:
        """Raw bits of elements after their faults, shape (elements,), same integer type."""

    def _masks(self, elements: int, format: Format, rng: np.random.Generator) -> NDArray[np.int64]:
        positions = format.positions(self.bits)
        if self.count > len(positions):
            raise ValueError(
                f"perturb.count={self.count} bits are more than the {len(positions)} that "
                f"perturb.bits={self.bits} means in {format.name}"
            )
        if self.adjacent:
            # Positions are distinct and sorted: so far apart and so many means that none lacks.
            whole = positions[self.count - 1 :] - positions[: len(positions) - self.count + 1]
            starts = positions[: len(whole)][whole == self.count - 1]
            if not len(starts):
                raise ValueError(
                    f"perturb.bits={self.bits} has no {self.count} adjacent bits in {format.name}"
                )
            first = starts[rng.integers(len(starts), size=elements)]
            return _mask(first[:, None] + np.arange(self.count))
        if self.count == 1:
            return _mask(positions[rng.integers(len(positions), size=(elements, 1))])
        order = rng.random((elements, len(positions))).argsort(1)[:, : self.count]
        return _mask(positions[order])


@dataclass(frozen=True, slots=True)
class BitFlip(BitPerturbation):
    """Flip bits."""

    def written(self, bits: Tensor, mask: Tensor) -> Tensor:
        """Bits of the mask are the other way."""
        return bits ^ mask


@dataclass(frozen=True, slots=True)
class StuckAt(BitPerturbation):
    """Hold bits at a value; one that has it already is a fault without effect.

    Attributes
    ----------
    value
        0 or 1.
    """

    value: int = 0

    def __post_init__(self) -> None:
        BitPerturbation.__post_init__(self)
        if self.value not in (0, 1):
            raise ValueError(f"perturb.value must be 0 or 1, got {self.value}")

    def written(self, bits: Tensor, mask: Tensor) -> Tensor:
        """Bits of the mask are the value."""
        return bits | mask if self.value else bits & ~mask


def _mask(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Masks of the bits with these numbers, which stand in rows, shape (elements,)."""
    masks: NDArray[np.int64] = np.left_shift(_ONE, numbers).sum(1)
    return masks
