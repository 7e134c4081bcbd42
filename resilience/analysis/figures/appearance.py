"""The common style of the figures, and saving them reproducibly, byte for byte."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.typing import LineStyleType

from resilience.system.atomic import replacing

WIDTH = 7.2  # inches: the text width of a page
SHARP = 2000  # points; more are rasterised, to keep the SVG small
INK, FAINT, RULE = "#1a1a1a", "#5f6368", "#d5d7da"

# Okabe and Ito's colours without yellow, which is invisible on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PAPER_TO_INK = LinearSegmentedColormap.from_list(
    "paper_to_ink", ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.4), (6, 1.5, 1.2, 1.5), (9, 2))

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "svg.hashsalt": "resilience",
    "text.parse_math": False,  # names may contain dollar signs
    "savefig.dpi": 200,
}


@dataclass(frozen=True, slots=True)
class Plate:
    """A drawn figure: the stem of its files, title, caption, and the files."""

    name: str
    title: str
    caption: str
    svg: Path
    png: Path


@dataclass(frozen=True, slots=True)
class Mark:
    """Colour, marker and dashes of a model, the same in every figure."""

    colour: str
    marker: str
    dashes: tuple[float, ...]

    @property
    def line(self) -> LineStyleType:
        """Line style as matplotlib takes it."""
        return (0.0, self.dashes) if self.dashes else "-"


def mark(index: int) -> Mark:
    """Mark of the model with this index; marks repeat after 70 models."""
    return Mark(
        COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)]
    )


@contextmanager
def house_style() -> Iterator[None]:
    """Context in which figures have this style, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", RC]), warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which is acceptable.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def sheet(
    panels: int, columns: int, height: float, *, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Figure of equal panels in rows of `columns`, each `height` inches high."""
    columns = max(1, min(columns, panels))
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH, rows * height + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).ravel()
    for spare in grid[panels:]:
        spare.set_axis_off()
    return figure, list(grid[:panels])


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Put a title and subtitle at the top left."""
    lines = textwrap.wrap(subtitle, 118)
    inch = 1 / figure.get_figheight()
    figure.text(0.01, 1 - 0.08 * inch, title, ha="left", va="top", size=10.5, weight="bold")
    figure.text(0.01, 1 - 0.28 * inch, "\n".join(lines), ha="left", va="top", size=8, color=FAINT)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - (0.36 + 0.14 * len(lines)) * inch))


def legend_name(name: str) -> str:
    """Name that a legend shows; matplotlib hides names with a leading underscore."""
    return f"\u200b{name}" if name.startswith("_") else name


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of a panel below all panels, and enlarge the figure for it."""
    handles, names = axes.get_legend_handles_labels()
    longest = max(map(len, names), default=1)
    columns = max(1, min(len(names), int(85 / (longest + 7))))
    figure.set_figheight(figure.get_figheight() + 0.17 * (-(-len(names) // columns) - 1))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def empty(axes: Axes, reason: str) -> None:
    """Mark a panel as empty, and say why."""
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set(xticks=[], yticks=[])


def categories(axes: Axes, labels: Sequence[str]) -> None:
    """Label evenly spaced categories on the horizontal axis."""
    size = 8.0 if len(labels) <= 8 else 6.0
    axes.set_xticks(range(len(labels)), labels, fontsize=size)
    axes.set_xlim(-0.5, len(labels) - 0.5)


def save(figure: Figure, directory: Path, name: str) -> tuple[Path, Path]:
    """Write SVG and PNG without dates or versions; give their paths."""
    svg, png = directory / f"{name}.svg", directory / f"{name}.png"
    with replacing(png) as path:
        figure.savefig(path, format="png", metadata={"Software": None})
    figure.set_layout_engine(
        None
    )  # the layout is final; keeping the engine would draw everything again
    with replacing(svg) as path:
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return svg, png
