"""Figures of means: by rate (the publication's Figure 1), interaction, and a map of cells."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resilience.analysis.figures.appearance import (
    FAINT,
    PAPER_TO_INK,
    categories,
    empty,
    heading,
    legend_below,
    legend_name,
    mark,
    sheet,
)
from resilience.analysis.tables import (
    Layout,
    cells_of,
    counts_text,
    label_of,
    number_text,
    rows_of,
    title_of,
)

GOLDEN = "golden"
MANY = 8  # models; with more, the legend is below the figure


def mean_by_rate(layout: Layout, descriptives: pd.DataFrame, response: str, alpha: float) -> Figure:
    """Mean response against the rate, one line per model, golden on the left."""
    means = descriptives[descriptives["grouping"] == "model_frate"]
    golden = layout.golden(response)
    shown = [model for model in layout.models if model in golden or model in set(means["model"])]
    figure, (axes,) = sheet(1, 1, 3.6)
    _lines(axes, layout, means, golden, shown)
    axes.set_ylabel(label_of(response))
    _rate_axis(axes, layout, means, golden)
    if len(shown) > MANY:
        legend_below(figure, axes)
    elif len(shown) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    pooled = [perturb for perturb in layout.perturbs if perturb]
    over = f", {layout.plurals[2]} pooled ({', '.join(pooled)})" if len(pooled) > 1 else ""
    heading(
        figure,
        f"{title_of(response)} by {layout.titles[1].partition(' (')[0]}",
        f"mean and {100 * (1 - alpha):g} % t interval{over}",
    )
    return figure


def interaction(layout: Layout, descriptives: pd.DataFrame, response: str, alpha: float) -> Figure:
    """Cell means, one panel per perturbation and one line per model."""
    cells = cells_of(descriptives)
    golden = layout.golden(response)
    figure, panels = sheet(len(layout.perturbs), 3, 3.0, sharey=True)
    for axes, perturb in zip(panels, layout.perturbs, strict=True):
        means = cells[cells["perturb"] == perturb]
        _lines(axes, layout, means, golden, layout.models)
        _rate_axis(axes, layout, means, golden)
        axes.set_title(f"{layout.titles[2]}: {perturb}")
        axes.label_outer(remove_inner_ticks=False)
    panels[0].set_ylabel(label_of(response))
    legend_below(figure, panels[0])
    heading(
        figure,
        f"{title_of(response)}: interaction",
        f"cell means and {100 * (1 - alpha):g} % t intervals; lines that are not parallel, "
        "or differ between the panels, show interactions",
    )
    return figure


def cell_map(layout: Layout, descriptives: pd.DataFrame, response: str) -> Figure:
    """Mean of every full cell as a shade and a number, golden on the left."""
    cells = cells_of(descriptives)
    golden = layout.golden(response)
    rows = [(model, perturb) for model in layout.models for perturb in layout.perturbs]
    columns = ([GOLDEN] if golden else []) + list(layout.rates)
    shades = np.full((len(rows), len(columns)), math.nan)
    counts = np.zeros(shades.shape, dtype=int)
    for y, (model, _) in enumerate(rows):
        if model in golden:
            shades[y, 0], counts[y, 0] = golden[model], 1
    for cell in rows_of(cells):
        place = rows.index((cell.model, cell.perturb)), columns.index(cell.frate)
        shades[place], counts[place] = cell.mean, cell.n

    figure, (axes,) = sheet(1, 1, max(1.6, 0.34 * len(rows) + 0.5))
    heading(figure, f"{title_of(response)} by cell", "mean of each cell, and its number of trials")
    if np.isnan(shades).all():
        empty(axes, "no trials")
        return figure
    axes.grid(visible=False)
    axes.set_facecolor("#e8e8e8")
    mesh = axes.pcolormesh(shades, cmap=PAPER_TO_INK, edgecolors="white", linewidth=1.2)
    size = 8.0 if len(columns) <= 8 else 5.5
    for (y, x), value in np.ndenumerate(shades):
        text, colour = "no trials", FAINT
        if not math.isnan(value):
            red, green, blue, _ = mesh.to_rgba(value)
            text = f"{number_text(value)}  n={counts[y, x]}"
            colour = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else "black"
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", size=size, color=colour)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    names = [" · ".join(part for part in row if part) for row in rows]
    axes.set_yticks(np.arange(len(rows)) + 0.5, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    axes.set_xlabel(layout.titles[1])
    figure.colorbar(mesh, ax=axes, label=label_of(response), pad=0.01, aspect=25)
    return figure


def _lines(
    axes: Axes,
    layout: Layout,
    means: pd.DataFrame,
    golden: dict[str, float],
    models: tuple[str, ...] | list[str],
) -> None:
    """Draw one line with intervals per model, interrupted at missing rates."""
    start = 1 if golden else 0
    width = min(0.07, 0.5 / max(1, len(models)))
    for model in models:
        index = layout.models.index(model)
        look = mark(index)
        own = means[means["model"] == model].set_index("frate").reindex(layout.rates)
        x = np.arange(start + len(layout.rates)) + (index - (len(models) - 1) / 2) * width
        y = np.concatenate([[golden.get(model, math.nan)] * start, own["mean"]]).astype(float)
        axes.plot(
            x, y, color=look.colour, linestyle=look.line, marker=look.marker, markersize=5,
            markeredgecolor="white", markeredgewidth=0.6, label=legend_name(model), zorder=3,
        )  # fmt: skip
        axes.vlines(
            x[start:], own["ci_low"].astype(float), own["ci_high"].astype(float),
            color=look.colour, linewidth=1.1, zorder=2,
        )  # fmt: skip


def _rate_axis(axes: Axes, layout: Layout, means: pd.DataFrame, golden: dict[str, float]) -> None:
    """Label golden and the rates with the number of trials per point."""
    counts = {
        rate: counts_text([int(n) for n in rows["n"]]) for rate, rows in means.groupby("frate")
    }
    labels = [f"{rate}\n{counts.get(rate, 'no trials')}" for rate in layout.rates]
    categories(axes, ([f"{GOLDEN}\nn = 1"] if golden else []) + labels)
    axes.set_xlabel(layout.titles[1])
