"""Report what a campaign will do, cost and be able to show, without running it.

python -m resilience.plan [the campaign's overrides]
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from resilience.analyze import probability
from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial, trial_overrides, without
from resilience.config.user_errors import ending_in_one_line

if TYPE_CHECKING:  # torch takes seconds to import, and --help need not wait for it
    from resilience.planning.plan import Cell, Plan


def cells(overrides: Sequence[str]) -> "list[Cell]":
    """The cells of the design that a multirun of these overrides fills with replicas."""
    from resilience.planning.plan import Cell

    counts = Counter(without(trial, ("replica", "seed")) for trial in trial_overrides(overrides))
    composed = ((compose_trial(cell), number) for cell, number in counts.items())
    return [Cell(build_trial(config), number) for config, number in composed]


def plan_campaign(options: argparse.Namespace) -> "Plan":
    """Measure the cost of a campaign's models, and plan the campaign.

    Raises
    ------
    UserError
        If something that the user asked for does not exist or is incompatible with the rest.
    """
    from resilience.analysis.power.foresight import Wish
    from resilience.planning.cost import measure_apart
    from resilience.planning.plan import Proportion, plan

    design = cells(options.overrides)
    measurements = {}
    for cell in design:
        trial = cell.trial
        if cell.workload not in measurements:
            print(f"measuring {trial.model.name} ...", file=sys.stderr)
            measurements[cell.workload] = measure_apart(trial.model, trial.dataset, trial.settings)
    wish = Wish(options.effect, options.sd_ratio, options.alpha, options.power)
    return plan(design, measurements, wish, Proportion(options.margin, options.confidence))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    if options.power <= options.alpha:
        parser.error("--power must exceed --alpha, which any test attains")
    with ending_in_one_line():
        made = plan_campaign(options)
        from resilience.planning.text import plan_text

        print(json.dumps(asdict(made), indent=2) if options.json else plan_text(made))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m resilience.plan",
        description="Say what a campaign will do, cost and be able to show, without running it.",
    )
    parser.add_argument("overrides", nargs="*", help="as for python -m resilience -m")
    parser.add_argument("--json", action="store_true", help="everything as JSON, by layer")
    for name, kind, default, what in (
        ("effect", _positive, 0.25, "Cohen's f that the ANOVA should detect"),
        (
            "sd-ratio",
            _above_one,
            2.0,
            "ratio of standard deviations that Brown-Forsythe should detect",
        ),
        ("power", probability, 0.8, "power of the tests to detect them"),
        ("alpha", probability, 0.05, "level of the tests"),
        ("margin", probability, 0.01, "margin of error of the proportion of critical faults"),
        ("confidence", probability, 0.99, "confidence level of that proportion"),
    ):
        parser.add_argument(
            f"--{name}", metavar="X", type=kind, default=default, help=f"{what} (%(default)s)"
        )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def _above_one(text: str) -> float:
    value = float(text)
    if not 1 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
