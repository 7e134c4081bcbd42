"""Hydra launcher for every choice of `cluster=`."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from resilience.campaign.launchers import Cluster, Job, Work, chunked
from resilience.config.build import build_trial
from resilience.config.overrides import workload_overrides


class ClusterLauncher(Launcher):
    """Passes the trials of a sweep to a cluster, in chunks."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Store what Hydra passes to a launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run trials and return the outcome of each, in any order."""
        if not self.cluster.fit:
            self._require_fitted(job_overrides)
        jobs = [Job(initial_job_idx + i, tuple(given)) for i, given in enumerate(job_overrides)]
        work = Work(
            context=self.hydra_context,
            config=self.config,
            task=self.task_function,
            singletons=Singleton.get_state(),
            directory=Path.cwd(),
        )
        return list(self.cluster.run(work, chunked(jobs, self.cluster.group)))

    def _require_fitted(self, job_overrides: Sequence[Sequence[str]]) -> None:
        workloads = {tuple(workload_overrides(given)): given for given in job_overrides}
        for given in workloads.values():
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(given))
            if config.model.weights == "fit":
                trial = build_trial(config)
                # torch takes seconds to import, and only fitted weights need it here.
                from resilience.networks.models import choose_preprocessing
                from resilience.networks.trained import require_fitted

                preprocessing = choose_preprocessing(trial.model, trial.dataset)
                require_fitted(trial.model, preprocessing, trial.dataset)
