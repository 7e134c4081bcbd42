"""Figures of spread: box plots and standard deviations (the publication's Figures 2 and 3)."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from resilience.analysis.figures.appearance import (
    FAINT,
    INK,
    SHARP,
    categories,
    empty,
    heading,
    legend_name,
    mark,
    sheet,
)
from resilience.analysis.tables import (
    Layout,
    counts_text,
    label_of,
    p_text,
    rows_of,
    short_exponents,
    title_of,
)

TREATMENT_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")
# Label and dashes of each method, and whether it has the model's colour.
METHODS: dict[str, tuple[str, LineStyleType, bool]] = {
    "multiple_comparison": ("multiple comparisons (Banga and Fox)", "-", True),
    "bonett": ("Bonett, Bonferroni-adjusted", (0, (4, 1.5)), True),
    "bonferroni": ("normal (chi-square), Bonferroni-adjusted", (0, (1, 1)), False),
}
TESTS = {
    "brown_forsythe": "Brown-Forsythe",
    "banga_fox": "Multiple comparisons",
    "bartlett": "Bartlett",
}
REACH = 6.0  # intervals are cut at this multiple of the largest standard deviation


def box_plots(layout: Layout, descriptives: pd.DataFrame, response: str) -> Figure:
    """Box plots of the replicas by model and rate, with all points; perturbations pooled."""
    boxes = descriptives[descriptives["grouping"] == "model_frate"]
    trials, golden = layout.observed(response), layout.golden(response)
    columns = 4 if len(layout.models) > 3 else 3
    figure, panels = sheet(len(layout.models), columns, 2.9, sharey=True)
    for index, (axes, model) in enumerate(zip(panels, layout.models, strict=True)):
        own = boxes[boxes["model"] == model]
        points = trials[trials["model"] == model]
        _boxes(axes, layout, own, points, response, mark(index).colour)
        if model in golden:
            axes.axhline(golden[model], color=FAINT, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        axes.set_title(model)
        counts = {row.frate: f"n = {row.n}" for row in rows_of(own)}
        categories(axes, [f"{rate}\n{counts.get(rate, 'no trials')}" for rate in layout.rates])
        if index >= len(panels) - columns:
            axes.set_xlabel(layout.titles[1].replace(" (", "\n("))
    panels[0].set_ylabel(label_of(response))
    handles = [_point(INK, place, perturb) for place, perturb in enumerate(layout.perturbs)]
    handles = handles if len(layout.perturbs) > 1 else []
    if golden:
        handles.append(Line2D([], [], color=FAINT, linestyle=(0, (4, 2)), label="golden"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    methods = ", ".join(sorted(set(boxes["quartile_method"]) - {""}))
    heading(
        figure,
        f"{title_of(response)} of the replicas",
        f"box: quartiles ({methods}); whiskers: within 1.5 box heights; every trial is a point",
    )
    return figure


def standard_deviations(
    layout: Layout,
    intervals: pd.DataFrame,
    variances: pd.DataFrame,
    response: str,
    grouping: str,
    alpha: float,
) -> Figure:
    """Intervals of the standard deviations of one grouping, with the p-values of the tests."""
    intervals = intervals[intervals["grouping"] == grouping]
    variances = variances[variances["grouping"] == grouping]
    strata = layout.perturbs if grouping == "per_perturb" else ("",)
    places = [(perturb, model) for perturb in strata for model in layout.models]
    columns = min(len(layout.models), 3)
    height = max(1.9, 0.62 + 0.4 * len(layout.rates) + 0.35)
    figure, panels = sheet(len(places), columns, height, sharex=True)
    sds = intervals["sd"].astype(float)
    widest = float(np.nanmax([*intervals["high"].astype(float), *sds, 0.0]))
    reach = min(widest, REACH * float(np.nanmax([*sds, 0.0])))
    unit = label_of(response).split(" (", 1)[1]
    for place, (axes, (perturb, model)) in enumerate(zip(panels, places, strict=True)):
        own = intervals[(intervals["model"] == model) & (intervals["perturb"] == perturb)]
        tests = variances[(variances["model"] == model) & (variances["perturb"] == perturb)]
        name = " · ".join(part for part in (model, perturb) if part)
        axes.set_title(f"{name}\n" if name else "\n", pad=20)
        if place >= len(places) - columns:
            axes.set_xlabel(f"standard deviation\n({unit}")
        axes.text(
            0, 1.03, _p_values(tests), transform=axes.transAxes, size=7, color=INK, va="bottom"
        )
        if own.empty:
            empty(axes, "no trials")
            continue
        _intervals(axes, layout, own, mark(layout.models.index(model)).colour, reach)
        axes.set_xlim(0, reach * 1.06 or 1)
        axes.tick_params(axis="x", labelbottom=True)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    handles = [
        Line2D([], [], color=INK if coloured else FAINT, linestyle=dashes, label=label)
        for label, dashes, coloured in METHODS.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
    plural = layout.plurals[2]
    pooled = (
        ""
        if len(layout.perturbs) < 2
        else {
            "per_perturb": f"; each {layout.titles[2]} separately",
            "centred": f"; {plural} pooled after centring",
            "pooled": f"; {plural} pooled without centring, their differences counted as spread",
        }[grouping]
    )
    heading(
        figure,
        f"Standard deviation of {title_of(response).lower()}",
        f"simultaneous {100 * (1 - alpha):g} % intervals, "
        f"{counts_text(list(intervals['n']))} each, by {layout.titles[1]}{pooled}",
    )
    return figure


def _boxes(
    axes: Axes,
    layout: Layout,
    boxes: pd.DataFrame,
    points: pd.DataFrame,
    response: str,
    colour: str,
) -> None:
    drawn = []
    for box in rows_of(boxes):
        values = points.loc[points["frate"] == box.frate, response].to_numpy(dtype=float)
        position = layout.rates.index(box.frate)
        if not (math.isnan(box.q1) or math.isnan(box.q3)):
            reach = 1.5 * (box.q3 - box.q1)
            inside = values[(values >= box.q1 - reach) & (values <= box.q3 + reach)]
            # Quartiles are interpolated, so there may be no point beyond one.
            low, high = min(box.q1, inside.min()), max(box.q3, inside.max())
            stats = {"med": box.median, "q1": box.q1, "q3": box.q3, "whislo": low, "whishi": high}
            drawn.append((stats, position))
        for place, perturb in enumerate(layout.perturbs):
            own = points[(points["frate"] == box.frate) & (points["perturb"] == perturb)]
            slot = 0.4 / len(layout.perturbs)
            centre = position + (place - (len(layout.perturbs) - 1) / 2) * slot
            # Multiples of the golden ratio spread the points evenly, whatever their order.
            x = centre + 0.7 * slot * (np.arange(len(own)) * 0.6180339887 % 1 - 0.5)
            if len(own):
                axes.plot(
                    x, own[response], linestyle="none", marker=_treatment(place), markersize=3.2,
                    markerfacecolor=colour if place % 2 == 0 else "white", markeredgecolor=colour,
                    markeredgewidth=0.8, alpha=0.85, zorder=3, rasterized=len(points) > SHARP,
                )  # fmt: skip
    if drawn:
        axes.bxp(
            [stats for stats, _ in drawn], positions=[at for _, at in drawn], widths=0.62,
            showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": f"{colour}1f", "edgecolor": colour, "linewidth": 1},
            medianprops={"color": INK, "linewidth": 1.6},
            whiskerprops={"color": colour, "linewidth": 1},
            capprops={"color": colour, "linewidth": 1},
        )  # fmt: skip


def _intervals(
    axes: Axes, layout: Layout, intervals: pd.DataFrame, colour: str, reach: float
) -> None:
    methods = [method for method in METHODS if method in set(intervals["method"])]
    for row in rows_of(intervals):
        if row.method not in methods or math.isnan(row.sd):
            continue
        _, dashes, coloured = METHODS[row.method]
        y = layout.rates.index(row.frate) + (methods.index(row.method) - 1) * 0.22
        shade = colour if coloured else FAINT
        if row.low <= row.high:
            axes.plot(
                [row.low, min(row.high, reach)], [y, y], color=shade, linestyle=dashes,
                linewidth=1.8 if row.method == "multiple_comparison" else 1.2,
            )  # fmt: skip
            if row.high > reach:
                axes.plot(reach, y, marker=">", markersize=4, color=shade)
        axes.plot(row.sd, y, marker="o", markersize=3.2, color=shade, zorder=3)
    for place, rate in enumerate(layout.rates):
        own = intervals[intervals["frate"] == rate]
        reason = "" if len(own) else "no trials"
        if len(own) and own["low"].isna().all():
            reason = short_exponents(own["note"].iloc[0]) or "no interval"
        axes.text(
            0.03, place + 0.36, reason, size=6, color=FAINT, va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set_yticks(range(len(layout.rates)), layout.rates)
    axes.set_ylim(len(layout.rates) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


def _p_values(tests: pd.DataFrame) -> str:
    """p-values of the variance tests, as Minitab prints them beside the intervals."""
    p = {row.test: row.p for row in rows_of(tests)}
    return "\n".join(f"{name} {p_text(p[test])}" for test, name in TESTS.items() if test in p)


def _treatment(place: int) -> str:
    return TREATMENT_MARKERS[place % len(TREATMENT_MARKERS)]


def _point(colour: str, place: int, label: str) -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=_treatment(place), markersize=4.5, markeredgecolor=colour,
        markerfacecolor=colour if place % 2 == 0 else "white", label=legend_name(label),
    )  # fmt: skip
