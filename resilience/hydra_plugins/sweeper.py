"""The sweeper of campaigns, where Hydra allows a sweeper to be."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from resilience.campaign.sweep import sweep
from resilience.config.cell_loader import CellLoader


class CampaignSweeper(BasicSweeper):
    """Hydra's own sweeper, but it shares campaigns out and leaves out what has a result."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what the sweep is to run, and the launcher that runs it."""
        loader = CellLoader(hydra_context.config_loader.get_search_path())
        context = HydraContext(config_loader=loader, callbacks=hydra_context.callbacks)
        super().setup(hydra_context=context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that the arguments mean and that have no result yet."""
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        given = [f"{key}={value}" for key, value in self.params.items()]
        loader = self.hydra_context.config_loader
        sweep([*given, *arguments], loader, self.config, self.launcher, self.max_batch_size)
