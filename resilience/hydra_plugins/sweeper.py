"""The campaign sweeper, where Hydra looks for sweepers."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from resilience.campaign.sweep import sweep
from resilience.config.cell_loader import CellLoader


class CampaignSweeper(BasicSweeper):
    """Hydra's basic sweeper, with shards, and without the trials that have a result."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Store what the sweep runs, and create the launcher that runs it."""
        loader = CellLoader(hydra_context.config_loader.get_search_path())
        context = HydraContext(config_loader=loader, callbacks=hydra_context.callbacks)
        super().setup(hydra_context=context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that the arguments describe and that have no result yet."""
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        given = [f"{key}={value}" for key, value in self.params.items()]
        loader = self.hydra_context.config_loader
        sweep([*given, *arguments], loader, self.config, self.launcher, self.max_batch_size)
