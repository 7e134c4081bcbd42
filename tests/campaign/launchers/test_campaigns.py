"""One campaign, wherever its trials run: the same faults and the same figures."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from resilience.campaign.launchers import slurm as slurm_module
from resilience.campaign.launchers.chunks import Chunk, Job, chunked
from resilience.config.overrides import compose_trial
from resilience.results.record import find_results, read_result
from tests.test_main import run

pytestmark = pytest.mark.slow

SLURM = Path(__file__).with_name("slurm.sh")
SWEEP = [
    *("-m", "model=shufflenet_v2_x1_0,squeezenet1_1", "frate=1e-4", "perturb=zero,random"),
    *("replica=0,1", "model.weights=none", "dataset.limit=20", "threads=1"),
    *("analysis.enabled=false", "hydra.sweep.dir=here"),
]
LONGER = [*SWEEP, "replica=range(0,6)", "dataset.limit=1000", "batch_size=5"]
"""Long enough to be stopped in the middle."""
ON_SLURM = ["cluster=slurm", "cluster.cpus=1", "cluster.minutes=10"]

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install -e '.[ray]'"
)
needs_joblib_launcher = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="needs Hydra's joblib launcher: pip install -e '.[joblib]'",
)


def found(campaign: Path) -> dict[str, Any]:
    """Every result of a campaign, and its faults, but for where and when they were made."""
    results = {}
    for path in find_results(campaign):
        result = read_result(path)
        sections = (result.trial, result.parameters, result.fingerprint, result.faults)
        figures = (result.golden, result.corrupted)
        faults = path.with_name("faults.csv").read_text()
        results[str(path.relative_to(campaign))] = (*sections, *figures, faults)
    return results


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def in_one_process(sweep: list[str], folder: Path, cache: str, trials: int) -> dict[str, Any]:
    done = run(sweep, folder, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    results = found(folder / "here")
    assert len(results) == trials
    return results


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, cache: str) -> dict[str, Any]:
    """What the campaign finds in one process."""
    return in_one_process(SWEEP, tmp_path_factory.mktemp("one-process"), cache, 8)


@pytest.fixture(scope="module")
def expected_longer(tmp_path_factory: pytest.TempPathFactory, cache: str) -> dict[str, Any]:
    """What the longer campaign finds in one process."""
    return in_one_process(LONGER, tmp_path_factory.mktemp("longer"), cache, 24)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SLURM cluster of this machine."""
    needed = ("slurmctld", "slurmd", "munged", "sbatch")
    if missing := [name for name in needed if shutil.which(name) is None]:
        pytest.skip(f"needs Debian's slurm-wlm and munge, has no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("only root can start SLURM")
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("needs submitit: pip install -e '.[slurm]'")
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", SLURM, "start", folder], check=True, timeout=60)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    del os.environ["SLURM_CONF"]
    subprocess.run(["bash", SLURM, "stop", folder], check=True, timeout=60)


def threads_of(campaign: Path) -> set[int]:
    return {read_result(path).provenance["threads"] for path in find_results(campaign)}


def test_worker_processes(
    tmp_path: Path, cache: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    own_choice = [*SWEEP, "workers=2", "threads=null"]
    done = run(own_choice, tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert max(threads_of(tmp_path)) <= max(1, len(os.sched_getaffinity(0)) // 2)
    again = run([*SWEEP, "workers=2", "hydra.sweep.dir=again"], tmp_path, RESILIENCE_CACHE=cache)
    assert again.returncode == 0, again.stderr
    assert found(tmp_path / "again") == expected


@needs_joblib_launcher
def test_hydras_joblib_launcher(tmp_path: Path, cache: str, expected: dict[str, Any]) -> None:
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = run([*SWEEP, *joblib], tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "here") == expected


@needs_ray
def test_ray(tmp_path: Path, cache: str, expected: dict[str, Any]) -> None:
    own = "cluster.address=local"  # not one that runs here, or did
    done = run([*SWEEP, "cluster=ray", own], tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "here") == expected


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(("group", "jobs"), [("model", 2), (8, 1)])
def test_slurm(
    tmp_path: Path, cache: str, expected: dict[str, Any], group: str | int, jobs: int
) -> None:
    done = run([*SWEEP, *ON_SLURM, f"cluster.group={group}"], tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "here" / "jobs").glob("*_submitted.pkl"))) == jobs
    assert found(tmp_path / "here") == expected


@dataclass(frozen=True)
class Numbers:
    """Work that says only which trials it was given."""

    config: Any

    def __call__(self, chunk: Chunk) -> list[int]:
        return [job.number for job in chunk]


@pytest.mark.usefixtures("slurm")
def test_many_chunks_are_several_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_module, "_ARRAY_SIZE", 2)
    monkeypatch.chdir(Path(__file__).parents[3])  # where jobs find this file
    config = compose_trial(["cluster=slurm", "cluster.cpus=1"])
    chunks = chunked([Job(number, ()) for number in range(3)], 1)
    hydra = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "job": {"name": "x"}}})
    returned = list(instantiate(config.cluster).run(Numbers(hydra), chunks))
    assert sorted(returned) == [0, 1, 2]
    assert len(list((tmp_path / "jobs").glob("*_submission.sh"))) == 2


def start(arguments: list[str], directory: Path, cache: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "resilience", *arguments],
        cwd=directory,
        env={**os.environ, "RESILIENCE_CACHE": cache},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_results(campaign: Path, wanted: int) -> dict[Path, int]:
    """Results, and when they were written, once there are so many."""
    for _ in range(600):
        if len(there := find_results(campaign)) >= wanted:
            return {path: path.stat().st_mtime_ns for path in there}
        time.sleep(0.2)
    raise TimeoutError(f"{campaign} has {len(there)} of {wanted} results")


def ask_slurm(*command: str) -> str:
    """What a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.usefixtures("slurm")
def test_a_cancelled_job_is_told_and_the_same_command_does_the_rest(
    tmp_path: Path, cache: str, expected_longer: dict[str, Any]
) -> None:
    arguments = [*LONGER, *ON_SLURM, "cluster.group=24"]
    sweep = start(arguments, tmp_path, cache)
    before = wait_for_results(tmp_path / "here", 2)
    ask_slurm("scancel", ask_slurm("squeue", "--noheader", "--format=%A"))
    said, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1
    assert "ended early, see" in said
    assert len(find_results(tmp_path)) < 24
    done = run(arguments, tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "here") == expected_longer
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    "requeue",
    [("scontrol", "requeue"), ("scancel", "--signal=USR2")],
    ids=["by SLURM", "by itself, as before its time limit"],
)
def test_a_requeued_job_goes_on_where_it_was(
    tmp_path: Path, cache: str, expected_longer: dict[str, Any], requeue: tuple[str, str]
) -> None:
    sweep = start([*LONGER, *ON_SLURM, "cluster.group=24"], tmp_path, cache)
    before = wait_for_results(tmp_path / "here", 2)
    job = ask_slurm("squeue", "--noheader", "--format=%A")
    ask_slurm(*requeue, job)
    for _ in range(150):
        if ask_slurm("squeue", "--noheader", "--format=%T") == "PENDING":
            break
        time.sleep(0.2)
    # SLURM lets a requeued job wait for two minutes, in case its node is broken.
    ask_slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
    said, _ = sweep.communicate(timeout=180)
    assert sweep.returncode == 0, said
    assert found(tmp_path / "here") == expected_longer
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.usefixtures("slurm")
def test_a_failing_trial_does_not_end_its_chunk(tmp_path: Path, cache: str) -> None:
    rates = [argument.replace("frate=1e-4", "frate=1e-12,1e-4") for argument in SWEEP]
    done = run([*rates, *ON_SLURM, "cluster.group=model"], tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(found(tmp_path / "here")) == 8


def test_local_workers_go_on_after_a_failing_trial(tmp_path: Path, cache: str) -> None:
    rates = [argument.replace("frate=1e-4", "frate=1e-12,1e-4") for argument in SWEEP]
    done = run([*rates, "workers=2"], tmp_path, RESILIENCE_CACHE=cache)
    assert done.returncode == 1
    assert len(found(tmp_path / "here")) == 8


@pytest.mark.parametrize("cluster", ["slurm", "ray"])
def test_a_cluster_does_not_fit(tmp_path: Path, cluster: str) -> None:
    fitted = [argument.replace("=none", "=fit") for argument in SWEEP]
    done = run([*fitted, f"cluster={cluster}"], tmp_path)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "first run python -m resilience.prepare with the same overrides" in errors[0]
    assert "Traceback" not in done.stderr
    document = json.loads((tmp_path / "here" / "campaign.json").read_text())
    assert document["configuration"]["cluster"]["fit"] is False
