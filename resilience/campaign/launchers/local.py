"""Worker processes on this machine."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context

import cloudpickle
import joblib
from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.cluster import Cluster
from resilience.campaign.launchers.work import Work, failed
from resilience.system.errors import UserError

_KILLED = "its worker process was killed, possibly for lack of memory"


@dataclass(frozen=True)
class Local(Cluster):
    """Processes on this machine; a single worker is this process itself."""

    workers: int

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Give each worker the next chunk as soon as it is free."""
        if self.workers < 1:
            raise UserError(f"workers must be at least 1, got {self.workers}")
        if self.workers == 1:
            yield from work.run(job for chunk in chunks for job in chunk)
            return
        threads = max(1, joblib.cpu_count() // self.workers)
        given = (cloudpickle.dumps(work), threads)
        waiting, suspects = deque(chunks), deque[Chunk]()
        while waiting or suspects:  # repeats only if a worker was killed, which ends its pool
            # Chunks that were running are then retried one by one, to find whose worker is killed.
            alone = bool(suspects)
            # Spawned, as a fork of a process with threads may deadlock.
            with ProcessPoolExecutor(self.workers, get_context("spawn"), _start, given) as pool:
                given_out = (1, suspects) if alone else (self.workers, waiting)
                try:
                    for chunk, made in _in_turn(pool, *given_out):
                        if made is not None:
                            yield from made
                        elif alone:
                            yield from (failed(job, _KILLED) for job in chunk)
                        else:
                            suspects.append(chunk)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for worker in active_children():
                        worker.terminate()
                    raise


def _in_turn(
    pool: Executor, workers: int, waiting: deque[Chunk]
) -> Iterator[tuple[Chunk, list[JobReturn] | None]]:
    """Give chunks to workers as they become free, until all are done or a worker is lost.

    Each chunk comes with the outcomes of its trials, or None if its worker may have been killed.
    """
    running: dict[Future[list[JobReturn]], Chunk] = {}
    broken = False
    while running or (waiting and not broken):
        while waiting and len(running) < workers and not broken:
            try:
                future = pool.submit(_run, waiting[0])
            except BrokenProcessPool:
                broken = True
            else:
                running[future] = waiting.popleft()
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            chunk = running.pop(future)
            try:
                made = future.result()
            except BrokenProcessPool:
                broken, made = True, None
            yield chunk, made


_work: Work
"""The sweep that this worker process serves."""


def _start(work: bytes, threads: int) -> None:
    global _work
    # OpenMP reads it when torch is loaded; a value set by the user takes precedence.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    _work = cloudpickle.loads(work)


def _run(chunk: Chunk) -> list[JobReturn]:
    return _work(chunk)
