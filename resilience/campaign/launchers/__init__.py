"""Where the trials of a sweep run: processes of this machine, jobs of SLURM, tasks of Ray."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.work import Work


@dataclass(frozen=True)
class Cluster(ABC):
    """Workers, and what they are given at a time.

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
        """Make all trials, and say what became of each, in any order.

        A chunk whose worker ended early is no error of the others: its trials count as failed.
        """
