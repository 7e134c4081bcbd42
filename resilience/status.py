"""Command that reports a campaign's progress: `python -m resilience.status DIR`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resilience.campaign.progress import Tally, follow
from resilience.results.failed_trials import find_failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m resilience.status",
        description="Show the progress of a campaign, wherever it runs, and its failed trials.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the campaign's directory")
    parser.add_argument(
        "--follow", action="store_true", help="keep updating until no trial is left"
    )
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        print(f"resilience.status: {options.directory} is not a directory", file=sys.stderr)
        return 1
    if options.follow:
        try:
            follow(options.directory)
        except KeyboardInterrupt:
            return 130
    else:
        print(Tally(options.directory).standing())
    for failure in find_failures(options.directory):
        print(f"failed: {failure.directory}: {failure.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
