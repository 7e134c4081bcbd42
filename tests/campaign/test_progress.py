"""How far a campaign is, told from its files alone."""

import dataclasses
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resilience import status
from resilience.campaign import progress
from resilience.campaign.progress import Tally, shown
from resilience.results.record import write_result
from tests.results.test_record import CSV, RESULT


def result_at(directory: Path, top1_error: float = 0.25, age: float = 0) -> None:
    trial = {**RESULT.trial, "perturb": "zero"}
    figures = {**RESULT.corrupted, "top1_error": top1_error}
    write_result(
        directory,
        type(RESULT)(
            *(trial, RESULT.parameters, RESULT.fingerprint, RESULT.faults),
            *(RESULT.golden, figures, RESULT.provenance),
        ),
        CSV,
    )
    then = time.time() - age
    os.utime(directory / "result.json", (then, then))


def campaign_at(directory: Path, trials: int, found: int = 0, age: float = 100) -> None:
    started = datetime.fromtimestamp(time.time() - age, UTC).isoformat()
    document = {"trials": trials, "found": found, "started": started}
    (directory / "campaign.json").write_text(json.dumps(document))


def test_a_standing_counts_and_estimates(tmp_path: Path) -> None:
    campaign_at(tmp_path, trials=10, found=1, age=100)
    for number in range(3):
        result_at(tmp_path / "a" / str(number), age=60 - 10 * number)
    (tmp_path / "a" / "failed").mkdir()
    (tmp_path / "a" / "failed" / "failure.json").write_text("{}")
    standing = Tally(tmp_path).standing()
    assert (standing.trials, standing.done, standing.failed, standing.left) == (10, 3, 1, 6)
    # Two trials in the 60 seconds from the start to the newest result: six take 180.
    assert standing.seconds_left == pytest.approx(180, abs=2)
    assert str(standing).startswith("3 of 10 trials done, 1 failed, 6 left, 0:0")
    assert str(standing).endswith("to go, vgg19 zero 1e-05: top-1 error 0.250")


def test_counting_goes_on_from_what_was_seen(tmp_path: Path) -> None:
    campaign_at(tmp_path, trials=2)
    tally = Tally(tmp_path)
    assert str(tally.standing()) == "0 of 2 trials done, 2 left"
    result_at(tmp_path / "0", age=5)
    assert tally.standing().done == 1
    result_at(tmp_path / "1", top1_error=0.5)
    standing = tally.standing()
    assert (standing.done, standing.left, standing.latest) == (
        2,
        0,
        "vgg19 zero 1e-05: top-1 error 0.500",
    )


def test_an_exact_number_of_faults_is_said_instead_of_a_rate(tmp_path: Path) -> None:
    for count, said in ((1, "1 fault"), (3, "3 faults")):
        result = dataclasses.replace(
            RESULT,
            trial={**RESULT.trial, "perturb": "zero", "frate": None},
            parameters={"faults": {"count": count}},
        )
        write_result(tmp_path, result, CSV)
        assert Tally(tmp_path).standing().latest == f"vgg19 zero {said}: top-1 error 0.200"


def test_what_is_not_whole_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "campaign.json").write_text("{")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "result.json").write_text("")
    assert str(Tally(tmp_path).standing()) == "1 of 1 trials done"


def test_a_log_gets_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign_at(tmp_path, trials=40)
    with pytest.MonkeyPatch.context() as patch, shown(tmp_path):
        patch.setattr(progress, "_LOOKS_APART", 0.001)
        for number in range(40):
            result_at(tmp_path / str(number))
            time.sleep(0.01)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("40 of 40 trials done")
    assert len(lines) <= 11


def test_status_says_it_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign_at(tmp_path, trials=2)
    result_at(tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "failure.json").write_text('{"reason": "no memory", "trial": {}}')
    assert status.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 of 2 trials done, 1 failed")
    assert said[1] == f"failed: {tmp_path / '1'}: no memory"
    assert status.main([str(tmp_path), "--follow"]) == 0
    assert status.main([str(tmp_path / "nowhere")]) == 1
    assert "nowhere is not a directory" in capsys.readouterr().err
