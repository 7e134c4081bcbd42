"""Drawing all figures of an analysis."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from resilience.analysis.figures import means, residuals, spread, vulnerability
from resilience.analysis.figures.appearance import Plate, house_style, save
from resilience.analysis.risk import subjects
from resilience.analysis.tables import (
    RESPONSES,
    Analysis,
    Layout,
    counted,
    layout_of,
    p_text,
    title_of,
)

Drawing = tuple[str, str, str, Figure]  # stem of the files, title, caption

NAMES = (
    "figure1_mean_by_rate",
    *(f"figure1_{response}" for response in RESPONSES[1:]),
    "figure2_box_plots",
    "figure3_standard_deviations",
    "figure3_per_perturbation",
    "figure3_pooled",
    "interaction",
    "cell_means",
    "residuals",
)
"""Stems of the figures of means and spread."""

VULNERABILITY = re.compile(r"vulnerability_(layers|bits|layers_bits)(_\d+)?")
"""Stems of the figures of layers and bits, numbered from the second network on."""


def draw_figures(analysis: Analysis, directory: Path) -> tuple[Plate, ...]:
    """Draw all figures into a directory as SVG and PNG, in the order of the report.

    All figures show the first response; the mean by rate is also drawn for the others. Figures of
    an earlier analysis that this one lacks are removed.
    """
    with house_style():
        plates = []
        for name, title, caption, figure in drawings(analysis):
            svg, png = save(figure, directory, name)
            plates.append(Plate(name, title, caption, svg, png))
    known = {*NAMES, *(path.stem for path in directory.glob("vulnerability_*"))}
    mine = {name for name in known if name in NAMES or VULNERABILITY.fullmatch(name)}
    for name in mine - {plate.name for plate in plates}:
        for suffix in (".svg", ".png"):
            (directory / f"{name}{suffix}").unlink(missing_ok=True)
    return tuple(plates)


def drawings(analysis: Analysis) -> Iterator[Drawing]:
    """Figures one by one, in the order of the report; to be drawn within `house_style`."""
    yield from _vulnerability(analysis)
    layout = layout_of(analysis)
    response, *others = analysis.responses
    descriptives = _of(layout, analysis.descriptives, response)
    model, rate, perturb = (title.partition(" (")[0] for title in layout.titles)
    yield (
        "figure1_mean_by_rate",
        f"Figure 1. {title_of(response)} by {rate}",
        f"{'One line per ' + model if model else 'The means'}, {_from_golden(layout, response)}the "
        f"levels of {rate} evenly spaced. Vertical bars are t intervals of the mean.",
        means.mean_by_rate(layout, descriptives, response, analysis.alpha),
    )
    for other in others:
        own = _of(layout, analysis.descriptives, other)
        yield (
            f"figure1_{other}",
            f"Figure 1 for another response. {title_of(other)} by {rate}",
            "The increase over golden measures resilience; the error itself mostly reflects how "
            "accurate a model was to begin with."
            if other == "error_increase"
            else "",
            means.mean_by_rate(layout, own, other, analysis.alpha),
        )
    yield (
        "figure2_box_plots",
        "Figure 2. The replicas",
        f"One box per {' and '.join(filter(None, (model, rate)))}. Every trial is a point"
        f"{f', whose shape shows the {perturb}' if len(layout.perturbs) > 1 else ''}."
        f"{' The dashed line is the golden run.' if layout.golden(response) else ''}",
        spread.box_plots(layout, descriptives, response),
    )
    if layout.one_cell:
        return
    if not layout.one_rate:
        yield from _deviations(analysis, layout, response)
    if len(layout.perturbs) > 1:
        yield (
            "interaction",
            "Interaction",
            f"Cell means, one panel per {perturb}. Without interaction the lines are parallel, and "
            "the panels differ by a constant.",
            means.interaction(layout, descriptives, response, analysis.alpha),
        )
    yield (
        "cell_means",
        "Mean of every cell",
        "Darker cells have larger means; n is the number of trials.",
        means.cell_map(layout, descriptives, response),
    )
    yield (
        "residuals",
        "Residuals",
        "Left: normal residuals lie on the line. Right: a band of constant height indicates equal "
        "variances, a funnel that the spread grows with the mean.",
        residuals.residuals(layout, response, _normality(analysis, response)),
    )


def _vulnerability(analysis: Analysis) -> Iterator[Drawing]:
    """Figures of layers and bits, network by network."""
    alpha, critical = analysis.alpha, analysis.critical
    kinds: dict[str, tuple[str, str, Callable[[pd.DataFrame, str], Figure]]] = {
        "layers": (
            "Which layer",
            "Layers are in network order if the results record it, otherwise sorted by name. "
            "Layers whose intervals do not overlap differ; but among many layers some stand out "
            "by chance.",
            lambda rows, name: vulnerability.by_layer(rows, name, alpha),
        ),
        "bits": (
            "Which bit",
            "The most significant bit is on the left, as numbers are written.",
            lambda rows, name: vulnerability.by_bit(rows, name, alpha),
        ),
        "layers_bits": (
            "Which bit of which layer",
            "A cell with few draws can be dark or light by chance; the table gives the intervals.",
            lambda rows, name: vulnerability.by_layer_and_bit(rows, name),
        ),
    }
    meaning = (
        f"A draw is critical if at least {counted(critical, 'correctly classified image')} "
        f"silently {'changes its' if critical == 1 else 'change their'} class."
    )
    for kind, (title, caption, draw) in kinds.items():
        table = getattr(analysis, f"vulnerability_{kind}")
        for place, (name, rows) in enumerate(subjects(table), start=1):
            stem = f"vulnerability_{kind}" + (f"_{place}" if place > 1 else "")
            yield stem, f"{title}: {name}", f"{caption} {meaning}", draw(rows, name)


def _deviations(analysis: Analysis, layout: Layout, response: str) -> Iterator[Drawing]:
    """The publication's Figure 3 for each way of handling the perturbations."""
    intervals = _of(layout, analysis.sd_intervals, response)
    variances = _of(layout, analysis.variances, response)
    perturb, plural = layout.titles[2], layout.plurals[2]
    readings = {
        "centred": (
            "figure3_standard_deviations",
            "Figure 3. Standard deviations",
            f"The {plural} are pooled after centring each cell on its own mean, so that only "
            "spread is compared. ",
        ),
        "per_perturb": (
            "figure3_per_perturbation",
            f"Figure 3 for each {perturb}",
            "",
        ),
        "pooled": (
            "figure3_pooled",
            f"Figure 3 with the {plural} pooled without centring",
            f"One interpretation of the publication. Differences between the means of the {plural} "
            "count as spread here and must not be mistaken for unequal variances. ",
        ),
    }
    if len(layout.perturbs) < 2:  # all interpretations agree
        readings = {"centred": (*readings["centred"][:2], "")}
    for grouping, (name, title, caption) in readings.items():
        yield (
            name,
            title,
            f"{caption}Dotted and dashed lines are confidence intervals, simultaneous over the "
            "panel. If two solid intervals do not overlap, the standard deviations differ by the "
            "multiple-comparisons test; the p-values decide, the intervals illustrate.",
            spread.standard_deviations(
                layout, intervals, variances, response, grouping, analysis.alpha
            ),
        )


def _from_golden(layout: Layout, response: str) -> str:
    return "golden (no faults) first, then " if layout.golden(response) else ""


def _of(layout: Layout, table: pd.DataFrame, response: str) -> pd.DataFrame:
    return layout.table(table[table["response"] == response])


def _normality(analysis: Analysis, response: str) -> str:
    checks = analysis.assumptions
    found = checks[(checks["response"] == response) & (checks["check"] == "shapiro_residuals")]
    if found["p"].isna().all():
        return ""
    return f"Shapiro-Wilk {p_text(float(found['p'].iloc[0]))}"
