"""The figure of residuals: normal quantiles, and residuals against fitted means."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resilience.analysis.figures.appearance import (
    FAINT,
    SHARP,
    empty,
    heading,
    legend_below,
    legend_name,
    mark,
    sheet,
)
from resilience.analysis.tables import Layout, label_of, title_of


def residuals(layout: Layout, response: str, note: str) -> Figure:
    """Residuals of the full factorial model, that is, deviations from the cell means.

    Cells with a single trial are left out.
    """
    trials = layout.observed(response)[["model", "frate", "perturb", response]]
    cells = trials.groupby(["model", "frate", "perturb"], observed=True)[response]
    frame = trials.assign(
        fitted=cells.transform("mean"), residual=trials[response] - cells.transform("mean")
    )[cells.transform("size") > 1].astype({"fitted": float, "residual": float})
    figure, panels = sheet(2, 2, 3.0)
    if len(frame):
        _draw(figure, panels, layout, frame, label_of(response).split(" (", 1)[1])
    else:
        empty(panels[0], "no replicated cells, hence no residuals")
        empty(panels[1], "")
    heading(
        figure,
        f"Residuals of {title_of(response).lower()}",
        f"deviations from cell means, n = {len(frame)}{'; ' + note if note else ''}",
    )
    return figure


def _draw(
    figure: Figure, panels: list[Axes], layout: Layout, frame: pd.DataFrame, unit: str
) -> None:
    from scipy.special import ndtri

    quantiles, spread = panels
    count = len(frame)
    frame = frame.sort_values("residual", kind="stable")
    frame["normal"] = ndtri((np.arange(1, count + 1) - 0.375) / (count + 0.25))
    for index, model in enumerate(layout.models):
        own, look = frame[frame["model"] == model], mark(index)
        for axes, column in ((quantiles, "normal"), (spread, "fitted")):
            axes.plot(
                own[column], own["residual"], linestyle="none", marker=look.marker, markersize=3.6,
                markeredgecolor=look.colour, markerfacecolor="none", markeredgewidth=0.9,
                label=legend_name(model), rasterized=count > SHARP,
            )  # fmt: skip
    deviation = float(frame["residual"].std(ddof=0))
    quantiles.axline((0, 0), slope=deviation, color=FAINT, linewidth=1)
    spread.axhline(0, color=FAINT, linewidth=1)
    quantiles.set(
        title="Normal quantiles",
        xlabel="quantile of the normal distribution",
        ylabel=f"residual ({unit}",
    )
    spread.set(title="Against fitted means", xlabel=f"cell mean ({unit}")
    if len(layout.models) > 1:
        legend_below(figure, spread)
