"""What a user can cause ends in one line; a bug shows where it is."""

import json
import sys
from pathlib import Path

import pytest

from resilience.__main__ import main
from resilience.config.user_errors import ending_in_one_line, one_line
from resilience.system.errors import UserError
from tests.tiny import TINY, run_here


class Buggy:
    """A perturbation with a mistake of its own."""

    def __call__(self, values: object, rng: object) -> object:
        return {}["nothing"]


class Refusing:
    """A perturbation that refuses its option."""

    def __init__(self, sd: float) -> None:
        raise ValueError(f"sd must not be {sd}")


def test_a_users_error_ends_in_its_line() -> None:
    with pytest.raises(SystemExit, match="error: no such thing; say another"), ending_in_one_line():
        raise UserError("no such thing;\n  say another")


@pytest.mark.parametrize("bug", [ValueError("a bug"), KeyError("a bug"), RuntimeError("a bug")])
def test_a_bug_is_not_taken_for_a_users_error(bug: Exception) -> None:
    with pytest.raises(type(bug), match="a bug"), ending_in_one_line():
        raise bug
    assert one_line(bug).startswith(f"{type(bug).__name__}: ")


def test_a_bug_in_a_single_trial_shows_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    options = [*TINY, "perturb._target_=tests.config.test_user_errors.Buggy", "frate=0.1"]
    monkeypatch.setattr(sys, "argv", ["resilience", *options])
    with pytest.raises(KeyError, match="nothing"):
        main()


def test_a_bug_in_a_trial_of_a_sweep_is_told_with_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    buggy = "perturb._target_=tests.config.test_user_errors.Buggy"
    assert run_here([buggy, "frate=0.1", "replica=0", "campaign=buggy"], monkeypatch) == 1
    (failure,) = tmp_path.rglob("failure.json")
    document = json.loads(failure.read_text())
    assert document["reason"] == "KeyError: 'nothing'"
    assert 'return {}["nothing"]' in document["traceback"]


def test_what_a_users_own_class_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    refusing = "perturb._target_=tests.config.test_user_errors.Refusing"
    monkeypatch.setattr(sys, "argv", ["resilience", *TINY, refusing, "+perturb.sd=-1"])
    with pytest.raises(SystemExit, match=r"^error: sd must not be -1$"):
        main()
