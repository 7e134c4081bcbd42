"""From observations to tables, and from tables to figures and a report."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from resilience.analysis.means import anova, anova_oneway, descriptives, posthoc
from resilience.analysis.power import assumptions
from resilience.analysis.read import read_campaigns, read_csv, read_frame, select
from resilience.analysis.risk import vulnerability
from resilience.analysis.spread import sd_intervals, variances
from resilience.analysis.tables import OPTIONAL, Analysis, Observations, UnfitObservationsError
from resilience.system.atomic import replacing
from resilience.system.errors import UserError

if TYPE_CHECKING:  # matplotlib takes half a second to import, and tables do not need it
    from resilience.analysis.report import Findings


class ReportableAnalysis(Analysis):
    """An analysis that can be written: as one HTML report, or with all its files."""

    __slots__ = ()

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one self-contained HTML file, whole or not at all; give its path."""
        from resilience.analysis.figures import draw_figures
        from resilience.analysis.report import compose, to_html

        path = Path(path)
        with TemporaryDirectory() as directory:
            text = to_html(compose(self, draw_figures(self, Path(directory))))
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    def write(self, directory: str | os.PathLike[str]) -> Path:
        """Write tables, `figures/`, `report.html` and `report.md`; give the path of the HTML file.

        Files of an earlier analysis are replaced, and removed if this analysis lacks them.
        """
        from resilience.analysis.figures import draw_figures
        from resilience.analysis.report import write_report

        directory = Path(directory)
        write_tables(self, directory)
        return write_report(self, draw_figures(self, directory / "figures"), directory)


class Written(NamedTuple):
    """Path of the `report.html` that an analysis wrote, and its findings."""

    report: Path
    findings: "Findings"


def analyse(
    observations: Observations | pd.DataFrame,
    response: str | None = None,
    factors: Sequence[str] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    critical: int = 1,
) -> ReportableAnalysis:
    """Compute all tables; values that cannot be computed are missing, and a note says why.

    Parameters
    ----------
    observations
        From `resilience.analysis.read`, or a data frame as `read_frame` takes it, such as one with
        the columns of `trials.csv`. It is not changed.
    response
        Column to analyse; by default those that the observations name.
    factors
        One to three columns; by default those that the observations name.
    alpha
        Significance level; intervals have level 1 - alpha.
    seed
        Seed of permutations, simulations and resampling.
    critical
        Number of correctly classified images that must silently change their class for a draw of
        faults to count as critical.

    Raises
    ------
    UserError
        If a setting is out of range, a column cannot be analysed, or there is no trial with faults.

    Examples
    --------
    >>> import pandas as pd
    >>> import resilience as rs
    >>> rows = pd.DataFrame({"frate": [1e-5] * 3 + [5e-5] * 3, "top1_error": [1, 2, 3, 4, 6, 8]})
    >>> analysis = rs.analyse(rows, response="top1_error", factors=["frate"])
    >>> analysis.descriptives["mean"].tolist()
    [2.0, 6.0]
    """
    if not 0 < alpha < 1:
        raise UserError(f"alpha must lie between 0 and 1, got {alpha}")
    if isinstance(observations, pd.DataFrame):
        observations = read_frame(observations, response, factors)
    else:
        observations = select(observations, response, factors)
    responses, factors = observations.responses, observations.factors
    rows = observations.analysed
    if rows.empty:
        raise UnfitObservationsError("there is no trial with a rate above 0 to analyse")
    layers, bits, layers_bits = (
        vulnerability(observations.draws, by, critical, alpha, seed)
        for by in (("layer",), ("bit",), ("layer", "bit"))
    )
    return ReportableAnalysis(
        trials=observations.trials,
        vulnerability_layers=layers,
        vulnerability_bits=bits,
        vulnerability_layers_bits=layers_bits,
        descriptives=descriptives(rows, responses, factors, alpha),
        anova=anova(rows, responses, factors, seed),
        anova_oneway=anova_oneway(rows, responses, factors, alpha, seed),
        posthoc=posthoc(rows, responses, factors, alpha),
        variances=variances(rows, responses, factors, alpha),
        sd_intervals=sd_intervals(rows, responses, factors, alpha),
        assumptions=assumptions(rows, responses, factors, alpha, seed),
        problems=observations.problems,
        responses=responses,
        factors=factors,
        alpha=alpha,
        seed=seed,
        critical=critical,
        provenance=observations.provenance,
    )


def write_tables(analysis: Analysis, directory: Path) -> None:
    """Write every table as `NAME.csv` in full precision, each whole or not at all.

    Optional tables of an earlier analysis are removed if this analysis lacks them.
    """
    for name in set(OPTIONAL) - set(analysis.tables):
        (directory / f"{name}.csv").unlink(missing_ok=True)
    for name, table in analysis.tables.items():
        with replacing(directory / f"{name}.csv") as path:
            table.to_csv(path, index=False, lineterminator="\n")


def analyse_campaign(
    paths: Sequence[Path],
    output: Path | None = None,
    response: str | None = None,
    factors: Sequence[str] | None = None,
    alpha: float = 0.05,
    critical: int = 1,
) -> Written:
    """Analyse campaign directories, or one CSV file, and write tables, figures and reports.

    Parameters
    ----------
    paths
        Campaign directories, or a single CSV file.
    output
        Directory to write to; by default `analysis/` in the campaign, or beside the CSV file.
    response, factors, alpha, critical
        As for `analyse`.

    Raises
    ------
    UnfitObservationsError
        If the paths cannot be analysed together, or lack the response or a factor.
    """
    from resilience.analysis.report import find

    _check(paths)
    directory = output if output is not None else _beside(paths)
    observations = _read(paths, response, factors)
    analysis = analyse(observations, alpha=alpha, critical=critical)
    return Written(analysis.write(directory), find(analysis))


def _read(
    paths: Sequence[Path], response: str | None, factors: Sequence[str] | None
) -> Observations:
    if paths[0].is_file():
        return read_csv(paths[0], response, factors)
    return select(read_campaigns(paths), response, factors)


def _beside(paths: Sequence[Path]) -> Path:
    """Default directory of an analysis: in the campaign, or beside the CSV file."""
    if len(paths) > 1:
        # Inside one of them it would pass for the analysis of that one alone.
        raise UnfitObservationsError("several campaigns need --output DIR")
    return (paths[0] if paths[0].is_dir() else paths[0].parent) / "analysis"


def _check(paths: Sequence[Path]) -> None:
    """Raise an error for paths that do not exist or cannot be analysed together."""
    for path in paths:
        if not path.exists():
            raise UnfitObservationsError(f"{path} does not exist")
        if path.is_file() and len(paths) > 1:
            raise UnfitObservationsError(f"a CSV file must be analysed by itself: {path}")
