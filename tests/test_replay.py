"""A trial run again from its own files, and results that are not what it gives."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import torchvision

from resilience.__main__ import main as run_program
from resilience.replay import main
from resilience.results.comparison import figure_differences, machine_differences
from resilience.results.record import Result, find_results, read_result, write_result
from tests.test_main import RUN, run
from tests.test_main import SMALL as OPTIONS

SMALL = ["model=shufflenet_v2_x1_0", "perturb=random", "frate=1e-4", *OPTIONS]


def run_here(arguments: list[str], directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run one trial in this process; the path of its result."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which the program sets, for its own process
    monkeypatch.setattr("sys.argv", ["resilience", *arguments])
    run_program()
    (path,) = find_results(directory)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return run_here(SMALL, tmp_path, monkeypatch)


def changed(path: Path, **sections: object) -> Result:
    """Write a result with other sections in place of one, its sha256 being right."""
    result = dataclasses.replace(read_result(path), **sections)  # type: ignore[arg-type]
    write_result(path.parent, result, path.with_name("faults.csv").read_text())
    return result


def test_an_untouched_result_agrees(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = read_result(path).faults["count"]
    assert main([str(path)]) == 0
    assert f"It agrees: {count} faults and 15 figures are equal." in capsys.readouterr().out
    assert main([str(path.parent)]) == 0


def test_a_changed_figure_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = read_result(path)
    was = result.corrupted["sdc_rate"]
    changed(path, corrupted={**result.corrupted, "sdc_rate": was + 0.05})
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert f"Figure: corrupted.sdc_rate was {was + 0.05}, is {was}\n" in said
    assert "It does not agree; differences: 1 in figures." in said
    assert "Fault:" not in said


def test_a_result_edited_by_hand_is_damaged_and_still_compared(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(path.read_text())
    document["golden"]["top1_error"] = 0.125
    path.write_text(json.dumps(document))
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "does not agree with its own sha256" in said
    assert "Figure: golden.top1_error was 0.125" in said


def test_a_changed_fault_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = path.with_name("faults.csv")
    lines = faults.read_text().splitlines()
    layer, index, rest = lines[3].split(",", 2)
    lines[3] = f"{layer},{int(index) + 1},{rest}"
    faults.write_text("\n".join(lines[:-1]) + "\n")
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert f"faults.csv line 4 was {lines[3]}, is {layer},{index},{rest}" in said
    assert f"faults.csv line {len(lines)} was missing, is {lines[-1]}" in said
    assert "It does not agree; differences: 2 in faults." in said


def test_a_changed_setting_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = path.parent / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("\nreplica: 0\n", "\nreplica: 1\n"))
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "Setting: trial.replica was 0, is 1" in said
    assert "Fault: " in said
    assert "more differences" in said


def test_other_weights_are_named_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_weights(seed: int) -> None:
        torch.manual_seed(seed)
        network = torchvision.models.squeezenet1_1(num_classes=10)
        torch.save(network.state_dict(), tmp_path / "weights.pth")

    write_weights(1)
    given = ["model=squeezenet1_1", *SMALL[1:], "model.weights=weights.pth"]
    path = run_here(given, tmp_path, monkeypatch)
    write_weights(2)
    assert main([str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if not line.startswith("[")]  # what is no log line
    said = said[[line.startswith("model=") for line in said].index(True) :]
    assert said[1].startswith("Different weights")
    assert read_result(path).provenance["weights_sha256"] in said[1]
    assert "images" not in said[1]


def test_other_images_are_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = read_result(path)
    changed(path, provenance={**result.provenance, "images_sha256": "0" * 64})
    assert main([str(path)]) == 1
    assert "Different images" in capsys.readouterr().out


def test_another_machine_may_differ_in_cross_entropy_and_is_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = read_result(path)
    machine = {**result.provenance["machine"], "processor": "Another"}
    near = result.corrupted["mean_cross_entropy"] * (1 + 5e-6)
    changed(
        path,
        provenance={**result.provenance, "machine": machine},
        corrupted={**result.corrupted, "mean_cross_entropy": near},
    )
    assert main([str(path)]) == 0
    said = capsys.readouterr().out
    assert "processor was Another, is " in said
    assert "figures agree" in said
    changed(path, corrupted={**result.corrupted, "mean_cross_entropy": near * (1 + 1e-5)})
    assert main([str(path)]) == 1


def test_on_another_machine_counts_must_be_equal_all_the_same(path: Path) -> None:
    result = read_result(path)
    off = dataclasses.replace(
        result, corrupted={**result.corrupted, "top1_error": result.corrupted["top1_error"] + 1e-9}
    )
    none = dataclasses.replace(result, corrupted={**result.corrupted, "mean_cross_entropy": None})
    assert [d.what for d in figure_differences(off, result, exact=False)] == [
        "corrupted.top1_error"
    ]
    assert len(figure_differences(none, result, exact=False)) == 1
    assert not figure_differences(result, result, exact=True)


@pytest.mark.parametrize(
    ("name", "value"), [("threads", 64), ("device_name", "NVIDIA X"), ("device", "cuda:1")]
)
def test_what_makes_another_machine(path: Path, name: str, value: object) -> None:
    result = read_result(path)
    other = dataclasses.replace(result, provenance={**result.provenance, name: value})
    assert [difference.what for difference in machine_differences(other, result)] == [name]


@pytest.mark.slow
def test_a_trial_of_a_campaign_is_run_again_from_elsewhere(tmp_path: Path) -> None:
    sweep = ["-m", "replica=3", "hydra.sweep.dir=here", "analysis.enabled=false"]
    assert run([*sweep, *SMALL], tmp_path).returncode == 0
    (path,) = find_results(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    done = run([str(path)], tmp_path / "elsewhere", [*RUN[:-1], "resilience.replay"])
    assert done.returncode == 0, done.stderr
    assert "It agrees" in done.stdout


@pytest.mark.parametrize("name", ["faults.csv", ".hydra/config.yaml", "result.json"])
def test_a_missing_file_is_told_in_one_line(path: Path, name: str) -> None:
    (path.parent / name).unlink()
    with pytest.raises(SystemExit) as end:
        main([str(path)])
    assert str(end.value.code).startswith("error: ")
    assert name in str(end.value.code)


@pytest.mark.parametrize("text", ["", "a: [", "- a", "model: 3"])
def test_a_damaged_configuration_is_told_in_one_line(path: Path, text: str) -> None:
    (path.parent / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        main([str(path)])
    assert str(end.value.code).startswith("error: ")


def test_a_result_that_lacks_a_part_is_told_in_one_line(path: Path) -> None:
    document = json.loads(path.read_text())
    del document["provenance"]
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit, match="a missing or unknown section"):
        main([str(path)])
