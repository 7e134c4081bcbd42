"""A sweep from its first file to its report; resumed, in shards, with trials that fail."""

import json
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from resilience.campaign import lifecycle
from resilience.campaign.sweep import by_workload
from resilience.results.record import find_results
from tests.test_main import SMALL, run
from tests.tiny import ROOT, TINY, contents, run_here

SWEEP = ["-m", "model=shufflenet_v2_x1_0", "frate=1e-4,1e-3", "perturb=zero,random"]
CELLS = ["frate=0.01,0.1", "perturb=zero,random", "campaign=here"]
QUIET = "analysis.enabled=false"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a campaign that is called `here`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "multirun" / "here"


def times(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in find_results(directory)}


@pytest.mark.slow
def test_a_sweep_ends_with_its_analysis(tmp_path: Path) -> None:
    done = run([*SWEEP, "replica=0,1,2", "hydra.sweep.dir=here", *SMALL], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Report: here/analysis/report.html" in done.stdout
    assert "12 of 12 trials done, shufflenet_v2_x1_0 random 0.001: top-1 error" in done.stderr
    trials = pd.read_csv(tmp_path / "here" / "analysis" / "trials.csv")
    assert trials["kind"].value_counts().to_dict() == {"trial": 12, "golden": 1}
    assert len(find_results(tmp_path)) == 12
    document = json.loads((tmp_path / "here" / "campaign.json").read_text())
    assert document["overrides"][0] == "model=shufflenet_v2_x1_0"
    assert document["configuration"]["dataset"]["limit"] == 20
    assert {"torch", "numpy", "hydra-core"} <= document["versions"].keys()
    assert document["git"] is None or len(document["git"]["commit"]) == 40
    assert {"processor", "cores", "memory", "gpus"} <= document["machine"].keys()


def test_a_campaign_that_can_not_be_analysed_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert lifecycle.end([lifecycle.Run(tmp_path, [], analysed=True)]) == 0
    assert f"{tmp_path} was not analysed: no readable result.json" in caplog.text


@pytest.mark.slow
def test_running_again_runs_what_is_new(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_here([*CELLS, "replica=0,1", QUIET], monkeypatch) == 0
    assert not (here / "analysis").exists()
    first = times(here)
    assert len(first) == 8
    assert run_here([*CELLS, "replica=0,1", QUIET], monkeypatch) == 0
    assert times(here) == first
    damaged, cut, *_ = first
    damaged.write_text("{}")
    cut.with_name("faults.csv").write_text("")
    assert run_here([*CELLS, "replica=0,1,2"], monkeypatch) == 0
    second = times(here)
    assert len(second) == 12
    again = {path for path in first if second[path] != first[path]}
    assert again == {damaged, cut}
    assert damaged.with_name("result.json.damaged-1").read_text() == "{}"
    assert (here / "analysis" / "report.html").exists()
    document = json.loads((here / "campaign.json").read_text())
    assert (document["trials"], document["found"]) == (12, 6)
    assert [each["found"] for each in document["earlier"]] == [0, 8]
    assert document["earlier"][0]["overrides"][-2:] == ["replica=0,1", QUIET]


def test_other_settings_are_refused_before_anything_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here([*CELLS, "replica=0", QUIET], monkeypatch) == 0
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    said = run_here([*CELLS, "replica=0,1", "dataset.limit=30", QUIET], monkeypatch)
    assert said == (
        "error: the campaign has results with different settings: dataset.limit was 20, is now 30; "
        "start a new campaign, or use the settings of this one"
    )
    said = run_here([*CELLS, "replica=3", "batch_size=7", QUIET], monkeypatch)
    assert "different batch_size: 10 before, 7 now" in str(said)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    swept = ["perturb=random", "perturb.low=-2,-1", "replica=0", QUIET]
    assert run_here(["frate=0.01,0.1", CELLS[2], *swept], monkeypatch) == 0
    assert len(find_results(here)) == 4 + 2


def test_a_wrong_override_anywhere_is_told_before_any_trial(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("replica=0,1,x", "perturb=zero,nope", "seed=0,0.5"):
        said = run_here(["frate=0.01,0.1", CELLS[2], wrong], monkeypatch)
        assert str(said).startswith("error: ")
        assert "\n" not in str(said)
    assert not here.exists()


@pytest.mark.slow
def test_shards_and_order_change_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep = [*CELLS[:2], "replica=0,1,2", QUIET]
    assert run_here([*sweep, "campaign=here"], monkeypatch) == 0
    whole = contents(here)
    assert len(whole) == 12
    for number in (3, 1, 2):
        arguments = [*sweep, "campaign=shards", f"shard={number}/3"]
        assert run_here(arguments, monkeypatch) == 0
    assert contents(here.with_name("shards")) == whole
    document = json.loads((here.with_name("shards") / "campaign.json").read_text())
    assert document["trials"] == 12
    assert {str(p.relative_to(here)) for p in find_results(here)} == {
        str(p.relative_to(here.with_name("shards"))) for p in find_results(here.with_name("shards"))
    }
    monkeypatch.setattr("resilience.campaign.sweep.by_workload", lambda t: by_workload(t)[::-1])
    assert run_here([*sweep, "campaign=shuffled"], monkeypatch) == 0
    assert contents(here.with_name("shuffled")) == whole


def test_trials_that_fail_leave_the_reason_and_the_others_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["frate=1e-9,0.1", "perturb=zero", "replica=0,1", "campaign=here"]
    assert run_here(sweep, monkeypatch) == 1
    assert len(find_results(here)) == 2
    said = capsys.readouterr().err
    assert said.count("\nfailed: multirun/here/tiny/zero/1e-09/replica-") == 2
    assert "2 of 4 trials done, 2 failed" in said
    failures = sorted(here.rglob("failure.json"))
    document = json.loads(failures[0].read_text())
    assert document["trial"]["frate"] == 1e-9
    assert "gives no fault" in document["reason"]
    assert "Traceback" in document["traceback"]
    problems = pd.read_csv(here / "analysis" / "problems.csv")
    assert list(problems["kind"]) == ["failed", "failed"]

    monkeypatch.setattr("resilience.faults.fault_plan.round", lambda number: 1, raising=False)
    assert run_here([*sweep, QUIET], monkeypatch) == 0
    assert len(find_results(here)) == 4
    assert not list(here.rglob("failure.json"))


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("joblib"), reason="needs hydra-joblib-launcher")
@pytest.mark.skipif(
    not find_spec("hydra_plugins.hydra_joblib_launcher"), reason="needs hydra-joblib-launcher"
)
def test_many_workers_give_the_same_and_fail_alike(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep = ["frate=1e-9,0.1", "perturb=zero", "replica=0,1", QUIET]
    assert run_here([*sweep, "campaign=here"], monkeypatch) == 1
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "campaign=many"]
    done = run(["-m", *TINY, *sweep, *joblib], tmp_path, PYTHONPATH=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("\nfailed: multirun/many/tiny/zero/1e-09/replica-") == 2
    assert "2 of 4 trials done, 2 failed" in done.stderr
    assert contents(here.with_name("many")) == contents(here)


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_only_its_trial_with_it(here: Path, tmp_path: Path) -> None:
    sweep = ["frate=0.01,0.1", "perturb._target_=tests.tiny.Deadly", "replica=range(0,3)", QUIET]
    workers = ["workers=2", "campaign=here"]
    done = run(["-m", *TINY, *sweep, *workers], tmp_path, PYTHONPATH=ROOT)
    assert done.returncode == 1, done.stderr
    assert {trial[1] for trial in contents(here)} == {0.01}
    assert len(contents(here)) == 3
    reasons = [json.loads(path.read_text())["reason"] for path in here.rglob("failure.json")]
    assert reasons == ["its worker process was killed, possibly for lack of memory"] * 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["faults=2", "frate=0.1,0.2", "replica=0"], "frate is swept, but faults or faults_from"),
        (["faults_from=list.csv"], "all replicas of listed faults are identical; say replica=0"),
    ],
)
def test_sweeps_of_what_trials_do_not_depend_on_are_refused(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status = run_here(arguments, monkeypatch)
    assert said in f"{status} {capsys.readouterr().err}"


def test_what_a_killed_run_left_of_the_campaigns_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f".{lifecycle.CAMPAIGN_FILE}.0123.tmp").write_text("{")
    arguments = ["replica=0", "frate=0.1", f"hydra.sweep.dir={tmp_path}", "analysis.enabled=false"]
    assert run_here(arguments, monkeypatch) == 0
    assert not list(tmp_path.rglob("*.tmp"))
