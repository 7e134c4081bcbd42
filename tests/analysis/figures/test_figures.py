import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from resilience.analysis import analyse
from resilience.analysis.figures.appearance import COLOURS, Plate, house_style, mark, save
from resilience.analysis.figures.draw import NAMES, draw_figures, drawings
from resilience.analysis.figures.means import cell_map, interaction, mean_by_rate
from resilience.analysis.figures.residuals import residuals
from resilience.analysis.figures.spread import box_plots, standard_deviations
from resilience.analysis.tables import ROLES, Analysis, Layout, Observations, layout_of, p_text

GOLDEN = {"alpha": 0.1, "beta": 0.2}
RATES = (1e-5, 3e-5)
PERTURBATIONS = ("random", "zero")


def trial_rows(models: dict[str, float], replicas: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        {"kind": "golden", "model": m, "perturb": "", "frate": 0.0, "top1_error": g}
        for m, g in models.items()
    ]
    rows += [
        {
            "kind": "trial", "model": m, "perturb": p, "frate": f,
            "top1_error": g + round(float(rng.uniform(0, 3e3 * f)), 3),
        }
        for m, g in models.items() for p in PERTURBATIONS for f in RATES for _ in range(replicas)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def analysed(
    rows: pd.DataFrame, factors: Sequence[str] = ROLES, response: str = "top1_error"
) -> Analysis:
    problems = pd.DataFrame(columns=["path", "kind", "reason"], dtype=object)
    return analyse(Observations(rows, tuple(factors), (response,), problems, {}))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analysed(trial_rows(GOLDEN))


@pytest.fixture(scope="module")
def plates(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plate, ...]:
    return draw_figures(analysis, tmp_path_factory.mktemp("figures"))


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with house_style():
        yield


@pytest.fixture(scope="module")
def layout(analysis: Analysis) -> Layout:
    return layout_of(analysis)


@pytest.fixture(scope="module")
def descriptives(analysis: Analysis, layout: Layout) -> pd.DataFrame:
    return layout.table(analysis.descriptives)


def cell_values(analysis: Analysis, model: str, rate: float) -> np.ndarray:
    rows = analysis.trials
    own = rows[(rows["kind"] == "trial") & (rows["model"] == model) & (rows["frate"] == rate)]
    return own["top1_error"].to_numpy()


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_every_figure_is_a_whole_png_and_svg(plates: tuple[Plate, ...]) -> None:
    names = [plate.name for plate in plates]
    assert names == [
        "figure1_mean_by_rate", "figure2_box_plots", "figure3_standard_deviations",
        "figure3_per_perturbation", "figure3_pooled", "interaction", "cell_means", "residuals",
    ]  # fmt: skip
    for plate in plates:
        assert plate.png.read_bytes().startswith(b"\x89PNG")
        assert ET.parse(plate.svg).getroot().tag.endswith("svg")
        assert plate.svg.stat().st_size < 300_000
    assert len(list(plates[0].svg.parent.iterdir())) == 2 * len(plates)


def test_figures_of_an_earlier_analysis_go_and_nothing_else_does(tmp_path: Path) -> None:
    kept = {"figure1_of_mine.svg", "interaction.pdf", "notes.txt"}
    for name in (*kept, *(f"{n}{suffix}" for n in NAMES for suffix in (".svg", ".png"))):
        (tmp_path / name).write_text("earlier")
    plates = draw_figures(own_table("dose"), tmp_path)
    drawn = {path.name for plate in plates for path in (plate.svg, plate.png)}
    assert "interaction.svg" not in drawn
    assert {path.name for path in tmp_path.iterdir()} == drawn | kept
    assert all((tmp_path / name).read_bytes() != b"earlier" for name in drawn)


def test_the_same_analysis_gives_the_same_bytes(
    layout: Layout, descriptives: pd.DataFrame, plates: tuple[Plate, ...], tmp_path: Path
) -> None:
    again = save(box_plots(layout, descriptives, "top1_error"), tmp_path, "again")
    assert again[0].read_bytes() == plates[1].svg.read_bytes()
    assert again[1].read_bytes() == plates[1].png.read_bytes()


def test_figure_1_starts_at_golden_and_shows_means_with_intervals(
    analysis: Analysis, layout: Layout, descriptives: pd.DataFrame
) -> None:
    figure = mean_by_rate(layout, descriptives, "top1_error", 0.05)
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["golden\nn = 1", "1e-5\nn = 10", "3e-5\nn = 10"]
    for line, (model, golden) in zip(axes.get_lines(), GOLDEN.items(), strict=True):
        means = [cell_values(analysis, model, rate).mean() for rate in RATES]
        assert line.get_label() == model
        np.testing.assert_allclose(line.get_ydata(), [golden, *means])
    bars = axes.collections[0].get_segments()
    values = cell_values(analysis, "alpha", 1e-5)
    half = 2.2621571628 * values.std(ddof=1) / math.sqrt(10)  # t quantile 0.975 of 9 df
    np.testing.assert_allclose(bars[0][:, 1], [values.mean() - half, values.mean() + half])
    assert "fraction of images" in axes.get_ylabel()


def test_figure_2_draws_the_table_s_quartiles_and_every_trial(
    analysis: Analysis, layout: Layout, descriptives: pd.DataFrame
) -> None:
    figure = box_plots(layout, descriptives, "top1_error")
    panel = figure.axes[1]
    assert panel.get_title(loc="left") == "beta"
    points = [line for line in panel.get_lines() if line.get_linestyle() == "None"]
    drawn = np.sort(np.concatenate([line.get_ydata() for line in points]))
    expected = np.sort(np.concatenate([cell_values(analysis, "beta", rate) for rate in RATES]))
    np.testing.assert_array_equal(drawn, expected)
    box = panel.patches[0].get_path().vertices[:, 1]
    quartiles = np.quantile(cell_values(analysis, "beta", 1e-5), [0.25, 0.75], method="weibull")
    np.testing.assert_allclose([box.min(), box.max()], quartiles)


@pytest.mark.parametrize("grouping", ["centred", "per_perturb", "pooled"])
def test_figure_3_shows_the_table_s_intervals_and_p_values(
    analysis: Analysis, layout: Layout, grouping: str
) -> None:
    intervals, variances = map(layout.table, (analysis.sd_intervals, analysis.variances))
    figure = standard_deviations(layout, intervals, variances, "top1_error", grouping, 0.05)
    own = intervals[(intervals["grouping"] == grouping) & (intervals["low"] <= intervals["high"])]
    drawn = [
        line.get_xdata() for axes in figure.axes for line in axes.get_lines()
        if len(line.get_xdata()) == 2
    ]  # fmt: skip
    assert len(drawn) == len(own) > 0
    assert set(np.min(drawn, axis=1)) == set(own["low"])
    shown = variances[(variances["grouping"] == grouping)]
    for p in shown.loc[shown["test"] == "brown_forsythe", "p"]:
        assert f"Brown-Forsythe {p_text(p)}" in texts(figure)


def test_a_model_looks_the_same_in_every_figure(
    analysis: Analysis, layout: Layout, descriptives: pd.DataFrame
) -> None:
    figures = [
        mean_by_rate(layout, descriptives, "top1_error", 0.05),
        interaction(layout, descriptives, "top1_error", 0.05),
        residuals(layout, "top1_error", ""),
    ]
    for figure in figures:
        for axes in figure.axes:
            looks = {
                line.get_label(): line.get_markeredgecolor()
                if line.get_linestyle() == "None" else line.get_color()
                for line in axes.get_lines()
            }  # fmt: skip
            assert (looks["alpha"], looks["beta"]) == COLOURS[:2]


def test_seventy_models_look_different() -> None:
    looks = {(m.colour, m.marker, m.dashes) for m in map(mark, range(70))}
    assert len(looks) == 70


def test_residuals_are_those_from_the_cell_means(analysis: Analysis, layout: Layout) -> None:
    axes = residuals(layout, "top1_error", "").axes[1]
    drawn = np.concatenate([line.get_ydata() for line in axes.get_lines()[:2]])
    trials = analysis.trials[analysis.trials["kind"] == "trial"]
    means = trials.groupby(list(ROLES))["top1_error"].transform("mean")
    np.testing.assert_allclose(np.sort(drawn), np.sort(trials["top1_error"] - means), atol=1e-15)


def test_the_map_names_empty_cells_and_counts(layout: Layout, descriptives: pd.DataFrame) -> None:
    gone = (descriptives["perturb"] == "zero") & (descriptives["frate"] == "3e-5")
    figure = cell_map(layout, descriptives[~gone], "top1_error")
    assert texts(figure).count("no trials") == len(GOLDEN)
    assert texts(figure).count("n=5") == 6


def one_trial() -> Analysis:
    return analysed(trial_rows({"alpha": 0.1}).iloc[:2])


def constant() -> Analysis:
    return analysed(trial_rows(GOLDEN).assign(top1_error=0.25))


def missing_cell() -> Analysis:
    rows = trial_rows(GOLDEN)
    return analysed(rows[(rows["model"] != "beta") | (rows["frate"] != 3e-5)])


def nine_models() -> Analysis:
    rows = trial_rows({f"a_rather_long_name_{i}": i / 100 for i in range(9)}, 2)
    return analysed(rows[rows["perturb"] != "zero"], ("model", "frate"))


def own_table(*factors: str) -> Analysis:
    rows = pd.DataFrame(
        {
            "machine": ["_a$x$", "<b>", "漢"] * 8,
            "dose": [1, 2] * 12,
            "batch": ["x^2", "a|b"] * 6 + ["a|b", "x^2"] * 6,
            "yield": [*np.random.default_rng(2).normal(size=23), np.nan],
        }
    )
    return analysed(rows, factors, "yield")


@pytest.mark.parametrize(
    "make",
    [
        one_trial, constant, missing_cell, nine_models,
        lambda: own_table("dose"), lambda: own_table("machine"),
        lambda: own_table("machine", "dose"), lambda: own_table("batch", "dose", "machine"),
    ],
    ids=["one", "constant", "missing", "nine", "level", "names", "two", "three"],
)  # fmt: skip
def test_any_design_is_drawn(make: Callable[[], Analysis]) -> None:
    names = []
    for name, _, _, figure in drawings(make()):
        figure.draw_without_rendering()
        names.append(name)
    assert {"figure1_mean_by_rate", "figure2_box_plots"} <= set(names)
    assert ("residuals" in names) == (make is not one_trial)  # of one cell there is no test


def test_a_missing_cell_breaks_the_line() -> None:
    analysis = missing_cell()
    layout = layout_of(analysis)
    axes = mean_by_rate(layout, layout.table(analysis.descriptives), "top1_error", 0.05).axes[0]
    assert math.isnan(axes.get_lines()[1].get_ydata()[2])
    assert axes.get_xticklabels()[2].get_text() == "3e-5\nn = 0 to 10"


def test_the_user_s_settings_neither_matter_nor_change() -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "pink"}):
        before = dict(mpl.rcParams)
        with house_style():
            assert mpl.rcParams["font.size"] < 10
            assert mpl.rcParams["axes.facecolor"] == "white"
        assert dict(mpl.rcParams) == before


def test_drawing_needs_no_pyplot() -> None:
    code = (
        "import sys, resilience.analysis.figures.draw; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
