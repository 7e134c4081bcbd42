"""The command that analyses campaigns: `python -m resilience.analyze PATH...`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resilience.analysis.report.findings import Findings
    from resilience.analysis.tables.model import Observations


class Written(NamedTuple):
    """What an analysis wrote, `report.html` among it, and what it found."""

    report: Path
    findings: "Findings"


def analyse_campaign(
    paths: Sequence[Path],
    output: Path | None = None,
    response: str | None = None,
    factors: Sequence[str] | None = None,
    alpha: float = 0.05,
    critical: int = 1,
) -> Written:
    """Analyse campaign directories, or one CSV file, into tables, figures and reports.

    Without `output` they go to `analysis/` in the campaign, or beside the CSV file. `critical` is
    how many images have to go wrong for a draw of faults to be critical.

    Raises
    ------
    UnfitObservationsError
        If the paths can't be analysed together, or lack the response or a factor.
    """
    # Here, so that asking for help does not wait for pandas and matplotlib.
    from resilience.analysis import analyse, write_tables
    from resilience.analysis.figures.draw import draw_figures
    from resilience.analysis.report.assemble import write_report
    from resilience.analysis.report.findings import find

    _refuse(paths)
    directory = output if output is not None else _beside(paths)
    analysis = analyse(_read(paths, response, factors), alpha=alpha, critical=critical)
    write_tables(analysis, directory)
    figures = draw_figures(analysis, directory / "figures")
    return Written(write_report(analysis, figures, directory), find(analysis))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    from resilience.analysis.tables.model import UnfitObservationsError

    try:
        written = analyse_campaign(
            *(options.paths, options.output, options.response, options.factors),
            *(options.alpha, options.critical),
        )
    except (UnfitObservationsError, OSError) as error:
        print(f"resilience.analyze: {error}", file=sys.stderr)
        return 1
    for finding in written.findings.headlines:
        print(f"- {finding.claim}")
    print(f"Report: {written.report}")
    return 0


def _read(
    paths: Sequence[Path], response: str | None, factors: Sequence[str] | None
) -> "Observations":
    from resilience.analysis.read.table import read_campaigns, read_csv, select

    if paths[0].is_file():
        return read_csv(paths[0], response, factors)
    return select(read_campaigns(paths), response, factors)


def _beside(paths: Sequence[Path]) -> Path:
    """Where to write unless told: in the campaign, or beside the file."""
    from resilience.analysis.tables.model import UnfitObservationsError

    if len(paths) > 1:
        # In one of them it would pass for the analysis of that one alone.
        raise UnfitObservationsError("several campaigns need --output DIR")
    return (paths[0] if paths[0].is_dir() else paths[0].parent) / "analysis"


def _refuse(paths: Sequence[Path]) -> None:
    """Raise an error for paths that do not go together."""
    from resilience.analysis.tables.model import UnfitObservationsError

    for path in paths:
        if not path.exists():
            raise UnfitObservationsError(f"{path} does not exist")
        if path.is_file() and len(paths) > 1:
            raise UnfitObservationsError(f"a CSV file is analysed by itself: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m resilience.analyze",
        description="Analyse campaigns: tables, tests, figures and a report.",
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path,
        help="campaign directories, or one CSV file with a row per observation",
    )  # fmt: skip
    parser.add_argument(
        "--response", metavar="NAME", help="column to analyse (top1_error and error_increase)"
    )
    parser.add_argument(
        "--factors", metavar="NAMES", type=_names,
        help="one to three columns, separated by commas (model,frate,perturb)",
    )  # fmt: skip
    parser.add_argument(
        "--alpha", type=probability, default=0.05, help="level of the tests (%(default)s)"
    )
    parser.add_argument(
        "--critical", metavar="N", type=_images, default=1,
        help="a draw of faults is critical from N images that it turns wrong on (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write (analysis/ in the campaign)"
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def probability(text: str) -> float:
    """A number between 0 and 1, both excluded, of a command line."""
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
