"""The command that analyses campaigns: `python -m resilience.analyze PATH...`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resilience.system.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    # After parsing, so that asking for help does not wait for pandas.
    from resilience.analysis import analyse_campaign

    try:
        written = analyse_campaign(
            *(options.paths, options.output, options.response, options.factors),
            *(options.alpha, options.critical),
        )
    except (UserError, OSError) as error:
        print(f"resilience.analyze: {error}", file=sys.stderr)
        return 1
    for finding in written.findings.headlines:
        print(f"- {finding.claim}")
    print(f"Report: {written.report}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m resilience.analyze",
        description="Analyse campaigns: tables, tests, figures and a report.",
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path,
        help="campaign directories, or one CSV file with one row per observation",
    )  # fmt: skip
    parser.add_argument(
        "--response", metavar="NAME", help="column to analyse (top1_error and error_increase)"
    )
    parser.add_argument(
        "--factors", metavar="NAMES", type=_names,
        help="one to three columns, separated by commas (model,frate,perturb)",
    )  # fmt: skip
    parser.add_argument(
        "--alpha",
        type=probability,
        default=0.05,
        help="significance level of the tests (%(default)s)",
    )
    parser.add_argument(
        "--critical", metavar="N", type=_images, default=1,
        help="images that a draw of faults must turn wrong to be critical (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="directory to write to (analysis/ in the campaign)",
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def probability(text: str) -> float:
    """Command-line argument that is a number between 0 and 1, both excluded."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return value


def _images(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
