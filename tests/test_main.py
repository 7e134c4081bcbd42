"""The program as a user runs it: python -m resilience, in a process of its own."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from resilience.__main__ import main
from resilience.results.record import find_results, read_result

RUN = [sys.executable, "-m", "resilience"]
SMALL = ["model.weights=none", "dataset.limit=20", "threads=1"]
QUICK = [*SMALL, "analysis.enabled=false"]


def run(
    arguments: list[str], directory: Path, command: list[str] = RUN, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in a directory; nothing of the tests' own environment tells it where."""
    return subprocess.run(
        [*command, *arguments],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_of_record_with_small_models(tmp_path: Path) -> None:
    sweep = ["-m", "model=squeezenet1_1,shufflenet_v2_x1_0", "frate=1e-5,3e-5,2e-4"]
    done = run([*sweep, "perturb=zero,random", "replica=0,1", *QUICK], tmp_path)
    assert done.returncode == 0, done.stderr
    results = [read_result(path) for path in find_results(tmp_path / "multirun")]
    assert len(results) == 2 * 3 * 2 * 2
    assert len({result.fingerprint for result in results}) == len(results)
    for result in results:
        expected = round(result.trial["frate"] * result.faults["population"])
        assert result.faults["count"] == expected
    for path in find_results(tmp_path / "multirun"):
        with path.with_name("faults.csv").open() as file:
            assert len(list(csv.DictReader(file))) == read_result(path).faults["count"]
    assert "24 of 24 trials done" in done.stderr
    logs = [path.read_text() for path in (tmp_path / "multirun").rglob("resilience.log")]
    assert sum("faults, top-1 error" in log for log in logs) == 24


def test_one_trial_with_any_override(tmp_path: Path) -> None:
    done = run(
        ["model=shufflenet_v2_x1_0", "frate=2e-5", "seed=7", "sites=uniform", *SMALL], tmp_path
    )
    assert done.returncode == 0, done.stderr
    (path,) = find_results(tmp_path / "outputs")
    assert path.parent.parts[-4:-1] == ("shufflenet_v2_x1_0", "zero", "2e-05")
    result = read_result(path)
    assert result.trial["seed"] == 7
    assert result.parameters["model"]["weights"] == "none"
    assert result.provenance["threads"] == 1
    assert path.with_name("faults.csv").exists()


def test_help_does_not_wait_for_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['resilience', '--help']\n"
        "from resilience.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = run([code], tmp_path, [sys.executable, "-c"])
    assert done.returncode == 0, done.stderr
    assert "model: " in done.stdout


@pytest.mark.slow
def test_prepare_makes_ready_what_a_campaign_needs(tmp_path: Path) -> None:
    done = run(
        ["model=squeezenet1_1,shufflenet_v2_x1_0", "frate=1e-5,3e-5", *SMALL],
        tmp_path,
        [sys.executable, "-m", "resilience.prepare"],
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(" is ready")[0] for line in done.stdout.splitlines()] == [
        "squeezenet1_1 on digits",
        "shufflenet_v2_x1_0 on digits",
    ]


BAD_INPUT = {
    "an unknown choice": (["model=nope"], "Could not find 'model/nope' Available options"),
    "an unknown option": (["modle=vgg19"], "'modle'"),
    "no number for a rate": (["frate=often"], "Could not find 'frate/often'"),
    "a rate above one": (["frate=1.5"], "frate must lie in [0, 1], got 1.5"),
    "a rate below zero": (["frate=-1"], "frate must lie in [0, 1], got -1"),
    "a rate without a fault": (["frate=1e-12"], "weights gives no fault; frate="),
    "a folder that is not given": (["dataset=imagenet"], "dataset.root is not set"),
    "a missing folder": (["dataset=imagenet", "dataset.root=nowhere"], "nowhere is not a folder"),
    "an empty folder": (["dataset=imagenet", "dataset.root=empty"], "contains no images"),
    "a folder without weights": (
        ["dataset=imagefolder", "dataset.root=empty"],
        "model.weights=FILE",
    ),
    "a wrong weights file": (
        ["model.weights=wrong.pth"],
        "wrong.pth do not match the network",
    ),
    "weights for other labels": (["model.weights=right.pth"], "2 of a different shape"),
    "an unknown device": (["device=tpu"], "device must be auto, cpu"),
    "a wrong option": (["perturb=random", "perturb.span=x"], "span must be fixed or layer"),
    "an unknown architecture": (["model=torchvision", "model.name=vgg20"], "near: vgg"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_line_and_status_one(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, said = BAD_INPUT[case]
    (tmp_path / "empty").mkdir()
    torch.save({"a": torch.zeros(1)}, tmp_path / "wrong.pth")
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "right.pth")
    given = [] if case == "a folder without weights" else ["model.weights=none"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGENET_ROOT", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    command = ["resilience", "model=squeezenet1_1", *given, "dataset.limit=20", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as end:
        main()
    line = end.value.code  # which Python prints, and ends with status 1
    assert isinstance(line, str)
    assert line.startswith("error: ")
    assert said in line
    assert "\n" not in line
    assert not find_results(tmp_path)


def test_an_error_prints_nothing_else(tmp_path: Path) -> None:
    done = run(["frate=1.5", "model=shufflenet_v2_x1_0", *SMALL], tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: frate must lie in [0, 1], got 1.5\n"


def test_a_failing_trial_does_not_stop_the_others(tmp_path: Path) -> None:
    done = run(
        ["-m", "model=shufflenet_v2_x1_0", "frate=1e-12,1e-4", "replica=0", *QUICK], tmp_path
    )
    assert done.returncode == 1
    assert "frate=1e-12 of" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr
    assert len(find_results(tmp_path)) == 1


def test_a_download_without_a_network_is_told(tmp_path: Path) -> None:
    done = run(
        ["model=squeezenet1_1", "dataset=imagenette", "threads=1"],
        tmp_path,
        https_proxy="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    assert "error: Imagenette is not in" in done.stderr
    assert "Traceback" not in done.stderr
