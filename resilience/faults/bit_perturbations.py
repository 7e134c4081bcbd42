"""What a fault does to single bits: rules that turn what memory holds into something else."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.memory import raw_bits
from resilience.number_formats import Bits, NumberFormat
from resilience.system.errors import UserError

_ONE = np.int64(1)


@dataclass(frozen=True, slots=True)
class BitPerturbation(ABC):
    """Strike some bits of each element.

    Attributes
    ----------
    bits
        Which may be struck: numbers, ranges or fields, see `resilience.number_formats.Bits`.
    count
        Number of distinct bits struck in each element; drawn evenly.
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
            raise UserError(
                f"perturb.count must be at least 1 bit, and a whole number, got {self.count}"
            )

    def strike(
        self, codes: Tensor, format: NumberFormat, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """What memory holds afterwards, and the bits that were struck as masks, int64.

        Parameters
        ----------
        codes
            What memory holds, of the format's type, shape (elements,).

        Raises
        ------
        UserError
            If the format lacks these bits, or has fewer than `count` of them.
        """
        mask = torch.from_numpy(self._masks(len(codes), format, rng))
        bits = raw_bits(codes)
        return self.written(bits, mask.to(bits.dtype)).view(codes.dtype), mask

    @abstractmethod
    def written(self, bits: Tensor, mask: Tensor) -> Tensor:
        """Raw bits of elements after their faults, shape (elements,), same integer type."""

    def _masks(
        self, elements: int, format: NumberFormat, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        positions = format.positions(self.bits)
        if self.count > len(positions):
            raise UserError(
                f"perturb.count={self.count} bits are more than the {len(positions)} that "
                f"perturb.bits={self.bits} means in {format.name}"
            )
        if self.adjacent:
            # Positions are distinct and sorted: a run of this length has no gap.
            whole = positions[self.count - 1 :] - positions[: len(positions) - self.count + 1]
            starts = positions[: len(whole)][whole == self.count - 1]
            if not len(starts):
                raise UserError(
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
        """The bits of the mask are inverted."""
        return bits ^ mask


@dataclass(frozen=True, slots=True)
class StuckAt(BitPerturbation):
    """Hold bits at a value; a bit that already has it is a fault without effect.

    Attributes
    ----------
    value
        0 or 1.
    """

    name: ClassVar[str] = "stuck_at"

    value: int = 0

    def __post_init__(self) -> None:
        BitPerturbation.__post_init__(self)
        if self.value not in (0, 1):
            raise UserError(f"perturb.value must be 0 or 1, got {self.value}")

    def written(self, bits: Tensor, mask: Tensor) -> Tensor:
        """The bits of the mask have the value."""
        return bits | mask if self.value else bits & ~mask


def _mask(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Masks of the bits whose numbers are in each row, shape (elements,)."""
    masks: NDArray[np.int64] = np.left_shift(_ONE, numbers).sum(1)
    return masks
