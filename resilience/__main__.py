"""Entry point: compose a configuration, run one trial or a sweep, and save results.

`resilience` is the same program; `resilience analyze` is `python -m resilience.analyze`, and so on.
"""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig

from resilience.campaign import lifecycle
from resilience.campaign.session import Session
from resilience.config.build import build_trial, factors_of
from resilience.config.overrides import CONFIG_MODULE, CONFIG_NAME, rates_as_choices
from resilience.config.user_errors import ending_in_one_line, one_line
from resilience.results.failed_trials import write_failure
from resilience.results.record import FAILURE_FILE, write_result
from resilience.system import signals
from resilience.system.atomic import remove_unfinished

log = logging.getLogger("resilience")

COMMANDS = ("analyze", "plan", "prepare", "replay", "status")
"""Subcommands, each a module with a `main`."""


@hydra.main(config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME, version_base="1.3")
def run(config: DictConfig) -> None:
    """Run the trial that a configuration describes and save its result."""
    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    with signals.handled(), signals.deferred():
        if hydra_config.mode == RunMode.MULTIRUN:
            _run_among_others(config, directory, list(hydra_config.overrides.task))
        else:
            with ending_in_one_line():
                _run(config, directory)


def _run_among_others(config: DictConfig, directory: Path, overrides: list[str]) -> None:
    """Run a trial of a sweep; if it fails, record why in `failure.json` and continue the sweep."""
    remove_unfinished(directory)
    try:
        _run(config, directory, Path(HydraConfig.get().sweep.dir))
    except Exception as error:
        reason = one_line(error)
        log.error("%s: %s", directory, reason)
        write_failure(directory, factors_of(config), overrides, error, reason)
    else:
        (directory / FAILURE_FILE).unlink(missing_ok=True)


def _run(config: DictConfig, directory: Path, campaign: Path | None = None) -> None:
    workloads = Session.current().workloads
    write_result(directory, *workloads.run(build_trial(config, campaign)))


def main() -> None:
    """Run the program, or the command that its first argument names."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        sys.exit(import_module(f"resilience.{sys.argv[1]}").main(sys.argv[2:]))
    _run_program()


def _run_program() -> None:
    """Run a trial or a sweep; a user error ends it with one line and status 1."""
    # So that Hydra raises errors instead of printing them with their stack itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # on a full disk, no stack trace for every lost log line
    _register_plugins()
    with Session().active() as session:
        try:
            with signals.handled(), ending_in_one_line():
                sys.argv[1:] = rates_as_choices(sys.argv[1:])
                _run_and_end(session)
        except signals.Interrupted as stop:
            command = lifecycle.how_to_go_on(session.runs)
            print(f"stopped by {stop}; to resume: {command}", file=sys.stderr)
            sys.exit(stop.status)


def _run_and_end(session: Session) -> None:
    failure = None
    try:
        run()
    except Exception as error:  # of one trial; all others have results
        failure = error
    session.check_weights()
    failed = lifecycle.end(session.runs)
    if failure:
        raise failure
    if failed:
        sys.exit(1)


def _register_plugins() -> None:
    """Register sweeper and launcher with Hydra, whose search misses editable installs."""
    plugins = Plugins.instance()  # searches first, as it would import them a second time
    from hydra_plugins.resilience.launcher import ClusterLauncher
    from hydra_plugins.resilience.sweeper import CampaignSweeper

    plugins.register(ClusterLauncher)
    plugins.register(CampaignSweeper)


if __name__ == "__main__":
    main()
