"""What a worker does: compose and run each trial of its chunk."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

import resilience.config.build  # noqa: F401 (registers the resolver of trials' directories)
from resilience.campaign.launchers.chunks import Chunk, Job
from resilience.config.user_errors import one_line
from resilience.results.record import RESULT_FILE, DamagedResultError, read_whole_result
from resilience.system.errors import UserError

log = logging.getLogger("resilience")


@dataclass(frozen=True)
class Work:
    """A sweep, as far as a worker needs it; cloudpickle can send it to another process.

    Attributes
    ----------
    context, config, task, singletons
        What Hydra passes to a launcher, and Hydra's own state.
    directory
        Base of relative paths.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    singletons: Mapping[type, Any]
    directory: Path

    def __call__(self, chunk: Chunk) -> list[JobReturn]:
        """Run the trials of a chunk in a process that knows nothing about the sweep yet."""
        os.chdir(self.directory)
        Singleton.set_state(dict(self.singletons))
        return list(self.run(chunk))

    def checkpoint(self, chunk: Chunk) -> Any:
        """What submitit runs after SLURM has requeued the job: the same chunk, which resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, chunk)

    def run(self, jobs: Iterable[Job]) -> Iterator[JobReturn]:
        """Run trials in this process and yield the outcome of each.

        Trials that already have an intact result, as after a requeue, are skipped.
        """
        setup_globals()
        for job in jobs:
            config = self.context.config_loader.load_sweep_config(self.config, list(job.overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = job.number
            done = run_job(
                hydra_context=self.context,
                task_function=self._unless_done,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            yield _in_brief(job, done)
        # Later log messages do not belong to the last trial.
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _unless_done(self, config: DictConfig) -> Any:
        result = Path(HydraConfig.get().runtime.output_dir, RESULT_FILE)
        try:
            read_whole_result(result)
        except (FileNotFoundError, DamagedResultError):
            return self.task(config)
        log.info("%s exists already", result)
        return None


def _in_brief(job: Job, done: JobReturn) -> JobReturn:
    """The outcome of a trial, without its configuration and with an error that can be pickled."""
    if done.status == JobStatus.COMPLETED:
        return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    return failed(job, one_line(done._return_value))


def failed(job: Job, reason: str) -> JobReturn:
    """The outcome of a trial without a result."""
    returned = JobReturn(overrides=job.overrides, status=JobStatus.FAILED)
    returned.return_value = UserError(reason)
    return returned
