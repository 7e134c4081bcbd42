"""What draws of faults did to a network, as results record it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch

from resilience.faults.draw import LayerFaults
from resilience.faults.memory import raw_bits
from resilience.faults.population import Layer
from resilience.metrics import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class DrawOutcome:
    """One draw of faults, and what it did.

    Attributes
    ----------
    by_layer
        Number of faults of each struck layer.
    faults
        All of them, element by element.
    """

    by_layer: Mapping[str, int]
    faults: tuple[LayerFaults, ...]
    outcome: Outcome

    @property
    def without_effect(self) -> int | None:
        """Number of elements that kept their value; None where faults are not of bits."""
        if not self.faults or any(faults.bits is None for faults in self.faults):
            return None
        return sum(
            int((raw_bits(faults.before) == raw_bits(faults.after)).sum()) for faults in self.faults
        )

    def summary(self, number: int) -> dict[str, Any]:
        """The entry of this draw in the result."""
        return {
            "draw": number,
            "layer": next(iter(self.by_layer)) if len(self.by_layer) == 1 else None,
            "bit": self._bit(),
            "faults": sum(self.by_layer.values()),
            **asdict(self.outcome),
        }

    def _bit(self) -> int | None:
        """The only bit that was struck, if there is just one."""
        masks = [faults.bits for faults in self.faults if faults.bits is not None]
        if not masks or len(masks) < len(self.faults):
            return None
        distinct = list(set(torch.cat(masks).tolist()))
        single = len(distinct) == 1 and distinct[0].bit_count() == 1
        return distinct[0].bit_length() - 1 if single else None


def fault_counts(draws: Sequence[DrawOutcome], layers: Sequence[Layer]) -> dict[str, Any]:
    """The counts of all draws' faults in the result, in the order of the layers."""
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


def mean_figures(draws: Sequence[DrawOutcome]) -> dict[str, Any]:
    """Figures of the corrupted network, averaged over the draws that have them."""
    figures = [asdict(draw.outcome) for draw in draws]
    if len(figures) == 1:
        return figures[0]
    return {name: _mean([each[name] for each in figures]) for name in figures[0]} | {
        "images": figures[0]["images"]
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
