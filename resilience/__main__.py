"""The entry point: compose a configuration, run one trial or a sweep of them, save results."""

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from resilience.campaign import analyse_finished
from resilience.config import build_trial
from resilience.errors import USER_ERRORS, ending_in_one_line, one_line
from resilience.overrides import CONFIG_MODULE, CONFIG_NAME, rates_as_choices
from resilience.results import write_result

log = logging.getLogger("resilience")


@hydra.main(config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME, version_base="1.3")
def run(config: DictConfig) -> None:
    """Run the trial that a configuration describes, and save its result."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        try:
            campaign = Path(hydra_config.sweep.dir)
            _run(config, Path(hydra_config.runtime.output_dir), campaign)
        except USER_ERRORS as error:
            log.error(one_line(error))  # the other trials go on, and the sweep fails at its end
            raise
    else:
        with ending_in_one_line():
            _run(config, Path(hydra_config.runtime.output_dir))


def _run(config: DictConfig, directory: Path, campaign: Path | None = None) -> None:
    # torch takes seconds to import, and --help need not wait for it.
    from resilience.trial import run_trial

    write_result(directory, *run_trial(build_trial(config, campaign)))


def main() -> None:
    """Run the program; what a user did wrong ends it with one line and status 1."""
    # So that Hydra lets errors out, instead of printing them and their stack itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with ending_in_one_line():
        sys.argv[1:] = rates_as_choices(sys.argv[1:])
        failure = None
        try:
            run()
        except Exception as error:  # of one trial; the others have results
            failure = error
        if "resilience.subject" in sys.modules:  # trials were run in this process
            from resilience.subject import check_all_weights

            check_all_weights()
        analyse_finished()
        if failure:
            raise failure


if __name__ == "__main__":
    main()
