"""One draw of faults: what was struck, and what it did to the network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch

from resilience.faults.formats import raw_bits
from resilience.faults.injection import Faults
from resilience.faults.layers import Layer
from resilience.metrics import Accuracy, Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One draw of faults, and what it did.

    Attributes
    ----------
    by_layer
        Number of faults of each struck layer.
    struck
        All of them, element by element.
    """

    by_layer: Mapping[str, int]
    struck: tuple[Faults, ...]
    accuracy: Accuracy
    outcome: Outcome

    @property
    def figures(self) -> dict[str, Any]:
        """What the result says of the corrupted network."""
        return asdict(self.accuracy) | asdict(self.outcome)

    @property
    def without_effect(self) -> int | None:
        """Number of elements that are what they were; None where faults are not of bits."""
        if not self.struck or any(fault.bits is None for fault in self.struck):
            return None
        return sum(
            int((raw_bits(fault.before) == raw_bits(fault.after)).sum()) for fault in self.struck
        )

    def summary(self, number: int) -> dict[str, Any]:
        """What the result lists of this draw."""
        return {
            "draw": number,
            "layer": next(iter(self.by_layer)) if len(self.by_layer) == 1 else None,
            "bit": self._bit(),
            "faults": sum(self.by_layer.values()),
            **self.figures,
        }

    def _bit(self) -> int | None:
        """The only bit that was struck, if there is just one."""
        masks = [fault.bits for fault in self.struck if fault.bits is not None]
        if not masks or len(masks) < len(self.struck):
            return None
        distinct = list(set(torch.cat(masks).tolist()))
        single = len(distinct) == 1 and distinct[0].bit_count() == 1
        return distinct[0].bit_length() - 1 if single else None


def faults_of(draws: Sequence[Draw], layers: Sequence[Layer]) -> dict[str, Any]:
    """What the result says of the faults of all draws together, in the order of the layers."""
    counts = {
        layer.name: sum(draw.by_layer.get(layer.name, 0) for draw in draws) for layer in layers
    }
    by_layer = {layer: count for layer, count in counts.items() if count}
    without = [draw.without_effect for draw in draws]
    known = [count for count in without if count is not None]
    return {
        "count": sum(by_layer.values()),
        "by_layer": by_layer,
        **({"without_effect": sum(known)} if known else {}),
    }


def mean_figures(draws: Sequence[Draw]) -> dict[str, Any]:
    """Figures of the corrupted network, averaged over draws that have them."""
    if len(draws) == 1:
        return draws[0].figures
    figures = [draw.figures for draw in draws]
    return {name: _mean([each[name] for each in figures]) for name in figures[0]} | {
        "images": figures[0]["images"]
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
