"""What campaigns survive: kills, full disks, directories that may not be written, company."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resilience.results.record import find_results, read_whole_result
from tests.test_main import run
from tests.tiny import ROOT, TINY, contents, run_here

ENVIRONMENT = {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be root"
)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_kills_lose_nothing_and_change_nothing(tmp_path: Path) -> None:
    done = run([str(tmp_path), "30", "1"], Path(ROOT), [sys.executable, "-m", "tests.killing"])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == 0
    assert (report["lost"], report["recomputed"]) == (0, 0)
    assert sum(new > 0 for new in report["grown"]) > 3, "kills that hit no trial prove little"
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == 64
    assert contents(tmp_path / "struck") == expected
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("*.damaged-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs to be allowed to mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@AS_ROOT
def test_a_full_disk_is_told_and_resumed(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep = [*("frate=0.01,0.1", "perturb=zero,random", "replica=0,1,2"), "analysis.enabled=false"]
    done = run(["-m", *TINY, *sweep, "hydra.sweep.dir=disk"], tmp_path, **ENVIRONMENT)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    before = find_results(small_disk)
    assert 0 < len(before) < 12
    for path in before:
        read_whole_result(path)
    assert not list(small_disk.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert run_here([*sweep, f"hydra.sweep.dir={small_disk}"], monkeypatch) == 0
    assert run_here([*sweep, f"hydra.sweep.dir={tmp_path / 'other'}"], monkeypatch) == 0
    assert contents(small_disk) == contents(tmp_path / "other")


@AS_ROOT
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_directory_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    folder = Path("/tmp", f"resilience-{os.getpid()}")  # where another user may go
    folder.mkdir(mode=0o755)
    try:
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        reading = [*nobody, sys.executable, "-c", "import torch, resilience"]
        if subprocess.run(reading, cwd="/tmp", capture_output=True, check=False).returncode:
            pytest.skip("another user can't read this environment")
        done = run(
            ["-m", *TINY, "frate=0.1", f"hydra.sweep.dir={folder}/campaign"],
            Path("/tmp"),
            [*nobody, sys.executable, "-m", "resilience"],
            **ENVIRONMENT,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: [Errno 13] Permission denied")
        assert done.stderr.count("\n") == 1
    finally:
        folder.rmdir()


def test_a_damaged_cache_is_made_again(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)  # on which a fit depends, and which the first campaign leaves behind
    sweep = ["frate=0.1", "replica=0", "analysis.enabled=false", "model.weights=fit"]
    sweep.append("model.fit.epochs=1")
    assert run_here([*sweep, "campaign=first"], monkeypatch) == 0
    for path in own_cache.rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-9] ^= 0x10
        path.unlink()
        path.write_bytes(content)
    assert run_here([*sweep, "campaign=second"], monkeypatch) == 0
    first, second = (contents(tmp_path / "multirun" / name) for name in ("first", "second"))
    assert first == second


@pytest.mark.slow
def test_two_campaigns_at_once_fit_and_decode_once(own_cache: Path, tmp_path: Path) -> None:
    from PIL import Image

    for label in "abc":
        for number in range(4):
            path = tmp_path / "images" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (50 * number, 80, 10 * number)).save(path)
    folder = "{_target_: resilience.data.sources.image_folder, root: images}"
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "pictures.yaml").write_text(
        f"{{name: pictures, images: {folder}, fit: {folder}, weights: fit}}"
    )
    sweep = ["frate=0.1", "replica=0,1", "analysis.enabled=false", "model.weights=fit"]
    sweep += ["dataset=pictures", "model.fit.epochs=1"]
    command = [sys.executable, "-m", "resilience", "-m", "--config-dir=conf", *TINY, *sweep]
    processes = [
        subprocess.Popen(
            [*command, f"campaign={name}"],
            cwd=tmp_path,
            env={**os.environ, **ENVIRONMENT},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    one, other = (contents(tmp_path / "multirun" / name) for name in ("one", "other"))
    assert one == other
    assert len(one) == 2
    logs = [path.read_text() for path in (tmp_path / "multirun").rglob("resilience.log")]
    assert sum(log.count("fitting tiny") for log in logs) == 1
    assert len(list((own_cache / "fits").glob("*.safetensors"))) == 1
    assert len(list((own_cache / "images").glob("*.safetensors"))) == 2  # to test and to fit on
