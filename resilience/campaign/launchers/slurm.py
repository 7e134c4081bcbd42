"""Job arrays on a SLURM cluster, submitted with submitit."""

import logging
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.cluster import Cluster
from resilience.campaign.launchers.work import Work, failed
from resilience.config.user_errors import one_line
from resilience.system.errors import UserError

log = logging.getLogger("resilience")

JOBS_DIRECTORY = "jobs"
"""Subdirectory of the campaign with the scripts and logs of its jobs."""

_ARRAY_SIZE = 1000
"""Jobs per array: SLURM's MaxArraySize is 1001 by default."""
_PATIENCE = 10.0
"""Seconds that a shared file system may take to show what a finished job wrote."""


@dataclass(frozen=True)
class Slurm(Cluster):
    """One array job per chunk.

    Attributes
    ----------
    partition
        None: the cluster's default.
    minutes, memory_gb, cpus, gpus
        Per job.
    parallel
        Maximum number of jobs that run at a time.
    requeues
        How many times a job that reaches its time limit is requeued, to resume.
    setup
        Shell commands to run before the program starts, such as `module load cuda`.
    sbatch
        Other sbatch options by their long names, such as `account`.
    """

    partition: str | None
    minutes: int
    memory_gb: float | None
    cpus: int
    gpus: int
    parallel: int
    requeues: int
    setup: Sequence[str]
    sbatch: Mapping[str, Any]

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Submit all chunks, then wait for them; jobs keep running if this process ends."""
        folder = Path(work.config.hydra.sweep.dir, JOBS_DIRECTORY).absolute()
        submitted = self._submit(work, chunks, folder)
        arrays = ",".join(sorted({job.job_id.partition("_")[0] for job in submitted}))
        print(
            f"submitted {len(submitted)} SLURM jobs ({arrays}); their logs are in {folder}",
            flush=True,
        )
        try:
            for job in _ended(submitted):
                returned = _returned(job)
                if returned is None:
                    reason = f"SLURM's job {job.job_id} ended early, see {job.paths.stdout}"
                    returned = [failed(trial, reason) for trial in submitted[job]]
                yield from returned
        except BaseException:
            log.warning(
                "the jobs keep running: squeue -j %s lists them, scancel %s cancels them",
                arrays,
                arrays,
            )
            raise

    def _submit(self, work: Work, chunks: Sequence[Chunk], folder: Path) -> dict[Any, Chunk]:
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError("cluster=slurm needs submitit: pip install -e '.[slurm]'") from error
        try:
            executor = submitit.AutoExecutor(
                folder, cluster="slurm", slurm_max_num_timeout=self.requeues
            )
            executor.update_parameters(
                name=work.config.hydra.job.name,
                timeout_min=self.minutes,
                mem_gb=self.memory_gb,
                cpus_per_task=self.cpus,
                gpus_per_node=self.gpus or None,
                stderr_to_stdout=True,
                slurm_partition=self.partition,
                slurm_array_parallelism=self.parallel,
                slurm_setup=[f"export OMP_NUM_THREADS={self.cpus}", *self.setup],
                slurm_additional_parameters={"requeue": True, **self.sbatch},
            )
            submitted: dict[Any, Chunk] = {}
            for start in range(0, len(chunks), _ARRAY_SIZE):
                array = chunks[start : start + _ARRAY_SIZE]
                submitted |= dict(zip(executor.map_array(work, array), array, strict=True))
        except (RuntimeError, submitit.core.utils.FailedJobError) as error:
            raise UserError(f"SLURM did not accept the jobs: {one_line(error)}") from error
        return submitted


def _ended(jobs: Iterable[Any]) -> Iterator[Any]:
    """Each job, once SLURM has ended it and its return value, if any, can be read."""
    waiting, pause = list(jobs), 1.0
    missed: dict[Any, float] = {}
    while waiting:
        time.sleep(pause)
        pause = min(1.2 * pause, 30.0)
        queued, now = _queued(), time.monotonic()
        if queued is None:
            continue
        for job in [job for job in waiting if job.job_id not in queued]:
            overdue = now - missed.setdefault(job, now) > _PATIENCE
            if overdue or job.paths.result_pickle.exists():
                waiting.remove(job)
                yield job


def _returned(job: Any) -> list[JobReturn] | None:
    """The return value of a finished job; None if it failed or was ended early."""
    from submitit.core.utils import FailedJobError

    if not job.paths.result_pickle.exists():
        return None
    try:
        returned: list[JobReturn] = job.result()
    except FailedJobError:
        return None
    return returned


def _queued() -> set[str] | None:
    """Ids of this user's pending and running jobs; None if SLURM does not answer."""
    # Not sacct, which needs a database that not every cluster has.
    command = ["squeue", "--me", "--noheader", "--array", "--format=%F_%K"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return {line.removesuffix("_N/A") for line in done.stdout.split()}
