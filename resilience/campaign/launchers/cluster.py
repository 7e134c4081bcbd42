"""Common interface of everywhere that trials can run."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.work import Work


@dataclass(frozen=True)
class Cluster(ABC):
    """Workers, and how trials are grouped into chunks for them.

    Attributes
    ----------
    group
        Trials per chunk: `cell`, `model`, or a number.
    fit
        Whether workers may fit weights that are not in the cache.
    """

    group: str | int
    fit: bool

    @abstractmethod
    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Run all trials and return the outcome of each, in any order.

        If a worker ends early, only the trials of its chunk count as failed.
        """
