"""Prepare what a campaign's trials need: downloads, decoding, fits and golden runs.

python -m resilience.prepare [the campaign's overrides]
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial, trial_overrides, workload_overrides
from resilience.config.user_errors import ending_in_one_line

log = logging.getLogger("resilience")


def workloads(overrides: list[str]) -> list[list[str]]:
    """Overrides of one trial per workload of a campaign, in the campaign's order."""
    kept = (workload_overrides(trial) for trial in trial_overrides(overrides))
    return [list(trial) for trial in dict.fromkeys(kept)]


def main(given: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m resilience.prepare", description=__doc__)
    parser.add_argument("overrides", nargs="*", help="as for python -m resilience -m")
    arguments = parser.parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with ending_in_one_line():
        for overrides in workloads(arguments.overrides):
            # This process may fit, wherever the campaign will run.
            trial = build_trial(compose_trial([*overrides, "cluster=local"]))
            from resilience.metrics import accuracy
            from resilience.trials.workloads import Workloads

            workload = Workloads().of(trial)
            error = accuracy(workload.golden, workload.samples.labels).top1_error
            log.info(
                "%s on %s is ready: golden top-1 error %.3f on %d images",
                *(trial.model.name, trial.dataset.name, error, len(workload.samples)),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
