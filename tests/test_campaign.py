"""A sweep from its first file to its report."""

import json
from pathlib import Path

import pandas as pd
import pytest

from resilience import campaign
from resilience.results import find_results
from tests.test_main import SMALL, run

SWEEP = ["-m", "model=shufflenet_v2_x1_0", "frate=1e-4,1e-3", "perturb=zero,random"]


def test_a_sweep_ends_with_its_analysis(tmp_path: Path) -> None:
    done = run([*SWEEP, "replica=0,1,2", "hydra.sweep.dir=here", *SMALL], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Report: here/analysis/report.html" in done.stdout
    trials = pd.read_csv(tmp_path / "here" / "analysis" / "trials.csv")
    assert trials["kind"].value_counts().to_dict() == {"trial": 12, "golden": 1}
    assert len(find_results(tmp_path)) == 12
    document = json.loads((tmp_path / "here" / "campaign.json").read_text())
    assert document["overrides"][0] == "model=shufflenet_v2_x1_0"
    assert document["configuration"]["dataset"]["limit"] == 20
    assert {"torch", "numpy", "hydra-core"} <= document["versions"].keys()
    assert document["git"] is None or len(document["git"]["commit"]) == 40
    assert {"processor", "cores", "memory", "gpus"} <= document["machine"].keys()


def test_analysis_can_be_turned_off(tmp_path: Path) -> None:
    done = run(
        [*SWEEP[:-1], "replica=0", "hydra.sweep.dir=here", "analysis.enabled=false", *SMALL],
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "here" / "analysis").exists()
    assert (tmp_path / "here" / "campaign.json").exists()


def test_a_campaign_that_can_not_be_analysed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(campaign, "_to_analyse", [tmp_path])
    campaign.analyse_finished()
    assert f"{tmp_path} was not analysed: no readable result.json" in caplog.text
