import json
from pathlib import Path

import pytest

from resilience.results.failed_trials import Failure, find_failures, write_failure

FACTORS = {"model": "vgg19", "frate": 1e-5, "replica": 3}


def test_a_failure_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_failure(tmp_path / "a", FACTORS, ["replica=3"], RuntimeError("x"), "out of\nmemory")
    expected = Failure(tmp_path / "a", ("replica=3",), "out of memory", FACTORS)
    assert find_failures(tmp_path) == [expected]


def test_a_rate_is_a_number_however_it_was_written(tmp_path: Path) -> None:
    write_failure(tmp_path, {"frate": "1e-5"}, [], RuntimeError(), "x")
    assert find_failures(tmp_path)[0].trial == {"frate": 1e-5}


def test_a_trial_with_a_result_has_not_failed(tmp_path: Path) -> None:
    write_failure(tmp_path, FACTORS, [], RuntimeError(), "x")
    (tmp_path / "result.json").touch()
    assert find_failures(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", json.dumps({"reason": "x", "trial": {"frate": "often"}}), "\xff"],
)
def test_a_damaged_file_is_still_a_failure(tmp_path: Path, content: str) -> None:
    (tmp_path / "failure.json").write_text(content)
    (failure,) = find_failures(tmp_path)
    assert failure.reason.startswith("failure.json is damaged: ")
    assert "\n" not in failure.reason
    assert (failure.directory, failure.overrides, failure.trial) == (tmp_path, (), {})
