"""What every place where trials can run has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.work import Work


@dataclass(frozen=True)
class Cluster(ABC):
    """Workers, and the chunks of trials that they are given.

    Attributes
    ----------
    group
        Trials of one chunk: `cell`, `model`, or a number of them.
    fit
        Whether workers may fit weights that are not in the cache.
    """

    group: str | int
    fit: bool

    @abstractmethod
    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Run all trials and return the outcome of each, in any order.

        A chunk whose worker ended early does not affect the others: its trials count as failed.
        """
