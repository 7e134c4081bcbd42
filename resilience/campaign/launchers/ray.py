"""Tasks of a Ray cluster."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn

from resilience.campaign.launchers.chunks import Chunk
from resilience.campaign.launchers.cluster import Cluster
from resilience.campaign.launchers.work import Work, failed
from resilience.config.user_errors import one_line
from resilience.system.errors import UserError

_ENVIRONMENT = ("RESILIENCE_CACHE", "IMAGENET_ROOT", "PYTHONPATH")
"""Environment variables that trials depend on and remote workers do not inherit."""


@dataclass(frozen=True)
class Ray(Cluster):
    """One task per chunk.

    Attributes
    ----------
    address
        Of a running cluster, or `auto`; None: the one running here, or else a new one.
    cpus, gpus
        Per task; a fraction of a GPU is allowed.
    retries
        How many times a task is retried after its worker was lost.
    """

    address: str | None
    cpus: float
    gpus: float
    retries: int

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[JobReturn]:
        """Submit all chunks to Ray and wait for them."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ModuleNotFoundError as error:
            raise UserError("cluster=ray needs Ray: pip install -e '.[ray]'") from error
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            ray.init(
                address=self.address,
                include_dashboard=False,
                logging_level="WARNING",
                log_to_driver=False,  # each trial has its own log
                runtime_env={"env_vars": environment},
            )
        except (ConnectionError, RuntimeError) as error:
            where = f"cluster.address={self.address}"
            raise UserError(f"can't connect to Ray at {where}: {one_line(error)}") from error
        try:
            shared = ray.put(work)
            options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": self.retries}
            task = ray.remote(**options)(_run)
            waiting = {task.remote(shared, chunk): chunk for chunk in chunks}
            while waiting:
                (ended, *_), _ = ray.wait(list(waiting))
                chunk = waiting.pop(ended)
                try:
                    yield from ray.get(ended)
                except ray.exceptions.RayError as error:
                    yield from (failed(job, one_line(error)) for job in chunk)
        finally:
            ray.shutdown()


def _run(work: Work, chunk: Chunk) -> list[JobReturn]:
    return work(chunk)
