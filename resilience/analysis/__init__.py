"""From a campaign to tables, tests, figures and a report.

Importing this package is cheap; scipy and statsmodels come with the first analysis.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilience.analysis.tables.model import Analysis, Observations

__all__ = ["analyse", "write_tables"]


def analyse(
    observations: Observations,
    response: str | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    critical: int = 1,
) -> Analysis:
    """All tables of the observations; what can't be computed is empty and has a note.

    Parameters
    ----------
    observations
        From `resilience.analysis.read.table`.
    response
        A column; by default those that the observations name.
    alpha
        Significance level; intervals have level 1 - alpha.
    seed
        Of permutations, simulations and resampling.
    critical
        So many images that were right, and are silently wrong, make a draw of faults critical.

    Raises
    ------
    UnfitObservationsError
        If the response is no numeric column, or there is no trial with faults.
    """
    from resilience.analysis.means.anova import anova
    from resilience.analysis.means.descriptives import descriptives
    from resilience.analysis.means.oneway import anova_oneway
    from resilience.analysis.means.posthoc import posthoc
    from resilience.analysis.power.assumptions import assumptions
    from resilience.analysis.read.table import select
    from resilience.analysis.risk.vulnerability import vulnerability
    from resilience.analysis.spread.intervals import sd_intervals
    from resilience.analysis.spread.variances import variances
    from resilience.analysis.tables.model import Analysis, UnfitObservationsError

    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    observations = select(observations, response)
    responses, factors = observations.responses, observations.factors
    rows = observations.analysed
    if rows.empty:
        raise UnfitObservationsError("there is no trial with a rate above 0 to analyse")
    layers, bits, layers_bits = (
        vulnerability(observations.draws, by, critical, alpha, seed)
        for by in (("layer",), ("bit",), ("layer", "bit"))
    )
    return Analysis(
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
    """Write every table as `NAME.csv`, each whole or not at all; figures in full precision.

    Tables of an earlier analysis that this one lacks are removed.
    """
    from resilience.analysis.tables.model import OPTIONAL
    from resilience.system.atomic import replacing

    for name in set(OPTIONAL) - set(analysis.tables):
        (directory / f"{name}.csv").unlink(missing_ok=True)

    for name, table in analysis.tables.items():
        with replacing(directory / f"{name}.csv") as path:
            table.to_csv(path, index=False, lineterminator="\n")
