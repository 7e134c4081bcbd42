"""Processes of this machine."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context

import cloudpickle
import joblib
from hydra.core.utils import JobReturn

from resilience.clusters import Cluster
from resilience.clusters.chunks import Chunk
from resilience.clusters.work import Work, failed


@dataclass(frozen=True)
class Local(Cluster):
    """Processes of this machine; one worker is this process itself."""

    workers: int

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Give each worker the next chunk as soon as it is free."""
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        if self.workers == 1:
            yield from work.run(job for chunk in chunks for job in chunk)
            return
        threads = max(1, joblib.cpu_count() // self.workers)
        given = (cloudpickle.dumps(work), threads)
        # Spawned, as a copy of a process that has started threads may never wake up.
        with ProcessPoolExecutor(self.workers, get_context("spawn"), _start, given) as pool:
            waiting = {pool.submit(_run, chunk): chunk for chunk in chunks}
            try:
                for future in as_completed(waiting):
                    try:
                        yield from future.result()
                    except BrokenProcessPool:
                        reason = "a worker process was killed; was there too little memory?"
                        yield from (failed(job, reason) for job in waiting[future])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in active_children():
                    worker.terminate()
                raise


_work: Work
"""The sweep that this worker process works for."""


def _start(work: bytes, threads: int) -> None:
    global _work
    # Read by what runs threads when it is loaded, with torch; a user's own value counts.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    _work = cloudpickle.loads(work)


def _run(chunk: Chunk) -> list[JobReturn]:
    return _work(chunk)
