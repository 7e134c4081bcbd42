"""What is said of where numbers come from."""

import subprocess
from pathlib import Path

import pytest

from resilience.system.provenance import gpus, hardware, memory, repository

IDENTITY = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_commit_and_what_was_changed_since(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert repository(tmp_path) is None  # nothing is committed yet
    (tmp_path / "mine.py").write_text("a = 1\n")
    git(tmp_path, "add", "mine.py")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert repository(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "multirun").mkdir()
    (tmp_path / "multirun" / "result.json").write_text("{}")
    assert repository(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "mine.py").write_text("a = 2\n")
    assert repository(tmp_path / "multirun") == {"commit": commit, "dirty": True}


def test_no_repository_and_no_git_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert repository(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository(Path(__file__).parent) is None
    assert gpus() == []


def test_gpus_are_what_the_driver_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho NVIDIA A\necho NVIDIA B\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert hardware()["gpus"] == ["NVIDIA A", "NVIDIA B"]
    driver.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert hardware()["gpus"] == []


def test_memory_is_told_in_bytes() -> None:
    assert (memory() or 2**30) > 2**28
