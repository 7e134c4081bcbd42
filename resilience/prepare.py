"""Do ahead of a campaign what its trials need: downloads, decoding, fits and golden runs.

python -m resilience.prepare [the campaign's overrides]
"""

import argparse
import logging
import sys

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial, subject_overrides, trial_overrides
from resilience.config.user_errors import ending_in_one_line

log = logging.getLogger("resilience")


def subjects(overrides: list[str]) -> list[list[str]]:
    """Overrides of one trial for each model and dataset that a campaign uses, in its order."""
    kept = (subject_overrides(trial) for trial in trial_overrides(overrides))
    return [list(trial) for trial in dict.fromkeys(kept)]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m resilience.prepare", description=__doc__)
    parser.add_argument("overrides", nargs="*", help="as for python -m resilience -m")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with ending_in_one_line():
        for overrides in subjects(arguments.overrides):
            # This process may fit, wherever the campaign is to run.
            trial = build_trial(compose_trial([*overrides, "cluster=local"]))
            from resilience.metrics import accuracy
            from resilience.trials.workload_cache import prepare

            subject = prepare(trial.model, trial.dataset, trial.settings, trial.sites)
            error = accuracy(subject.golden, subject.images.labels).top1_error
            log.info(
                "%s on %s is ready: golden top-1 error %.3f on %d images",
                *(trial.model.name, trial.dataset.name, error, len(subject.images)),
            )


if __name__ == "__main__":
    main()
