"""Reuse of the golden run: layers before the first corrupted one are not computed again."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, fx

from resilience.inference.graph import first_uses, needed_at, profile, segment
from resilience.inference.predict import predict

WORTH = 0.01
"""Smallest fraction of a pass that a cut must save the runs it serves to be kept."""
SHARES = 256
"""Number of shares into which memory is divided when choosing what to keep in it."""

Batches = Sequence[Sequence[Tensor]]
Run = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in a network to start from.

    Attributes
    ----------
    saves
        Fraction of a forward pass that comes before it, in [0, 1].
    size
        Bytes of the golden activations that are needed there, for all images; None if they can't
        be kept.
    """

    saves: float
    size: int | None


def choose_cuts(asked: Mapping[int, int], cuts: Mapping[int, Cut], memory: int) -> set[int]:
    """Positions whose golden activations to keep, to save the most over all runs.

    Parameters
    ----------
    asked
        Number of runs whose first corrupted layer was at each position.
    cuts
        What starting there saves and costs, at least for every position of `asked`.
    memory
        Bytes for all of them; divided into `SHARES`, each cut taking a whole number of shares.
    """
    positions = sorted(position for position in asked if memory and cuts[position].size)
    saves = np.array([0.0, *(cuts[position].saves for position in positions)])
    shares = [0, *(math.ceil((cuts[cut].size or 0) * SHARES / memory) for cut in positions)]
    # The most that can be saved, by the last cut kept (0: none) and the shares of memory used.
    saved = np.full((len(saves), SHARES + 1), -np.inf)
    saved[0] = 0
    previous = np.zeros(saved.shape, dtype=int)
    for last in range(1, len(saves)):
        if shares[last] > SHARES:
            continue
        later = sum(runs for cut, runs in asked.items() if cut >= positions[last - 1])
        gain = (saves[last] - saves[:last] - WORTH) * later
        with_it = saved[:last, : SHARES + 1 - shares[last]] + gain[:, None]
        saved[last, shares[last] :] = with_it.max(0)
        previous[last, shares[last] :] = with_it.argmax(0)
    chosen, last, there = set(), int(saved[:, SHARES].argmax()), SHARES
    while last:
        chosen.add(positions[last - 1])
        last, there = int(previous[last, there]), there - shares[last]
    return chosen


class GoldenPrefix:
    """Golden activations at a few places of a network, for corrupted runs to start from.

    Places are chosen by what has been asked for so far; each is filled by the first run that
    passes it uncorrupted. A run from there yields the same bits as one from the input.

    Parameters
    ----------
    network
        In evaluation mode.
    inputs
        Batches of the network's input.
    memory
        Bytes for activations.
    """

    def __init__(self, network: fx.GraphModule, inputs: Batches, memory: int) -> None:
        self._network = network
        self._nodes = list(network.graph.nodes)
        self._first_uses = first_uses(network)
        self._memory = memory
        self._asked: Counter[int] = Counter()
        self._cuts: dict[int, Cut] = {}
        self._wanted: set[int] = set()
        self._kept: dict[int, Batches] = {0: inputs}

    def predict(
        self, corrupted: Collection[Tensor], around: Callable[[Run], Run] = lambda run: run
    ) -> Tensor:
        """Logits of the network, which is golden up to the first use of these tensors.

        Parameters
        ----------
        corrupted
            Parameters and buffers.
        around
            Wraps the run of all batches, wherever it starts.
        """
        first = min(self._first_uses[id(parameter)] for parameter in corrupted)
        self._ask_for(first)
        start = max(position for position in self._kept if position <= first)
        if start == first or first not in self._wanted:
            return predict(around(self._segment(start, None)), self._kept[start])
        head, tail = self._segment(start, first), segment(self._network, first)
        golden: list[Sequence[Tensor]] = []

        def run(*values: Tensor) -> Tensor:
            reached = head(*values)
            golden.append(_copies(reached))
            return cast(Tensor, tail(*reached))

        logits = predict(around(run), self._kept[start])
        self._kept[first] = golden
        return logits

    def _ask_for(self, position: int) -> None:
        """Count where a run would start and, if that is new, choose again what to keep."""
        self._asked[position] += 1
        if self._asked[position] > 1 or position == min(self._first_uses.values()):
            return
        if not self._cuts:
            self._cuts = self._measured()
        asked = {cut: times for cut, times in self._asked.items() if cut in self._cuts}
        self._wanted = choose_cuts(asked, self._cuts, self._memory)
        for dropped in self._kept.keys() - self._wanted - {0}:
            del self._kept[dropped]

    def _measured(self) -> dict[int, Cut]:
        """What starting at each parameter's first use, except the earliest, saves and costs."""
        batches = self._kept[0]
        measured = profile(self._network, *batches[0])
        total = sum(measured.seconds)
        later = sorted(set(self._first_uses.values()))[1:]
        sizes = {cut: measured.size(needed_at(self._nodes, cut)) for cut in later}
        return {
            cut: Cut(sum(measured.seconds[:cut]) / total, size and size * len(batches))
            for cut, size in sizes.items()
        }

    def _segment(self, start: int, stop: int | None) -> Callable[..., Any]:
        """A part of the network that leaves kept activations unchanged."""
        part = segment(self._network, start, stop)
        # Layers may modify their inputs in place.
        return part if start == 0 else lambda *values: part(*_copies(values))


def _copies(values: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(value.clone() for value in values)
