import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from resilience.analysis import analyse_campaign
from resilience.analyze import main

TABLES = {
    "trials", "descriptives", "anova", "anova_oneway", "posthoc", "variances", "sd_intervals",
    "assumptions", "problems",
}  # fmt: skip


@pytest.fixture(scope="module")
def small(_campaign: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, one perturbation, three rates, four replicas."""
    directory = tmp_path_factory.mktemp("small") / "night"
    for model in ("resnet50", "vgg19"):
        shutil.copytree(
            _campaign / model / "zero",
            directory / model / "zero",
            ignore=lambda _, names: [n for n in names if n[:9] > "replica-3" and "-" in n[7:8]],
        )
    return directory


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return analyse_campaign([small], tmp_path_factory.mktemp("whole")).report.parent


@pytest.fixture(scope="module")
def own_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"kiln": kiln, "hours": hours, "strength": 10 * hours + k * (1 + hours % 2)}
        for kiln in ("north", "south") for hours in (1, 2, 3) for k in range(6)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("own") / "bricks.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_campaign_becomes_tables_figures_and_reports(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small) == 0
    directory = small / "analysis"
    assert {path.stem for path in directory.glob("*.csv")} == TABLES
    assert {path.name for path in directory.glob("report.*")} == {"report.html", "report.md"}
    assert len(pd.read_csv(directory / "trials.csv")) == 2 + 2 * 3 * 4
    assert {path.suffix for path in (directory / "figures").iterdir()} == {".png", ".svg"}
    output = capsys.readouterr()
    assert "- vgg19: equal variances over the failure rates are" in output.out
    assert output.out.endswith(f"Report: {directory / 'report.html'}\n")
    assert output.err == ""


def test_trials_csv_is_a_campaign_too(whole: Path, tmp_path: Path) -> None:
    again = analyse_campaign([whole / "trials.csv"], tmp_path).report.parent
    for table in ("anova.csv", "variances.csv", "posthoc.csv"):
        assert (again / table).read_bytes() == (whole / table).read_bytes()


def test_a_csv_of_one_s_own_is_analysed_beside_it(
    own_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--response", "strength", "--factors", "kiln,hours", "--alpha", "0.1")
    assert run(own_csv, *options) == 0
    assert "- north: equal variances over the levels of hours are" in capsys.readouterr().out
    directory = own_csv.parent / "analysis"
    assert (directory / "report.html").is_file()
    anova = pd.read_csv(directory / "anova.csv")
    assert anova["effect"].tolist()[:3] == ["kiln", "hours", "kiln:hours"]
    figure = directory / "figures" / "figure1_mean_by_rate.svg"
    assert "90 % t interval" in figure.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "does not exist"),
        (["empty"], "no readable result.json"),
        (["bricks.csv"], "no column"),
        (["bricks.csv", "--response", "colour", "--factors", "kiln"], "no column 'colour'"),
        (["bricks.csv", "--response", "kiln", "--factors", "hours"], "is not numeric"),
        (["bricks.csv", "empty"], "by itself"),
        (["empty", "empty"], "--output"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    arguments: list[str],
    words: str,
    own_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copy(own_csv, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "analysis").exists()


def test_two_weights_for_one_model_are_an_error(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from resilience.results.record import find_results, read_result, write_result

    campaign = tmp_path / "campaign"
    shutil.copytree(small, campaign)
    path = find_results(campaign / "vgg19")[0]
    result = read_result(path)
    provenance = {**result.provenance, "weights_sha256": "0" * 64}
    changed = {name: getattr(result, name) for name in result.__slots__}
    write_result(path.parent, type(result)(**{**changed, "provenance": provenance}), "layer\n")
    assert run(campaign) == 1
    assert "vgg19 has two different weights" in capsys.readouterr().err


@pytest.mark.parametrize("alpha", ["0", "1", "-0.5", "much"])
def test_a_level_out_of_range_is_refused(alpha: str, own_csv: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(own_csv, f"--alpha={alpha}")


def test_several_campaigns_are_merged(small: Path, whole: Path, tmp_path: Path) -> None:
    for model in ("resnet50", "vgg19"):
        shutil.copytree(small / model, tmp_path / f"on-{model}" / model)
    parts = [tmp_path / "on-resnet50", tmp_path / "on-vgg19"]
    merged = analyse_campaign(parts, tmp_path / "merged").report.parent
    assert (merged / "variances.csv").read_bytes() == (whole / "variances.csv").read_bytes()
    assert "on-resnet50, on-vgg19" in (merged / "report.html").read_text(encoding="utf-8")


def test_help_comes_within_a_second_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, resilience.analyze as a\n"
        "try: a.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'hydra'} & set(sys.modules))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 1
    assert done.stdout.endswith("set()\n")
    assert "--response" in done.stdout


def test_the_whole_command_never_loads_torch_or_hydra(own_csv: Path, tmp_path: Path) -> None:
    code = (
        "import sys, resilience.analyze as a\n"
        f"a.main([{str(own_csv)!r}, '--response=strength', '--factors=hours', "
        f"'--output', {str(tmp_path)!r}])\n"
        "sys.exit(bool({'torch', 'hydra', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
