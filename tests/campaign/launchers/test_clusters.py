"""What workers are given, and what is said where they can't be had."""

import re
import sys
from multiprocessing import current_process
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from resilience.campaign.launchers.local import Local
from resilience.config.build import build_trial, trial_directory
from resilience.config.overrides import compose_trial, workload_overrides
from resilience.networks.devices import gpu_of_worker
from resilience.networks.models import load_classifier, resolve_device
from resilience.system.tensors import load_tensors, save_tensors


def test_workers_share_cached_tensors(tmp_path: Path) -> None:
    """They are mapped from the file: none of their memory is the process's own."""
    path = tmp_path / "images.safetensors"
    save_tensors(path, {"pixels": torch.ones(100, 3, 64, 64, dtype=torch.uint8)})
    pixels = load_tensors(path)[0]["pixels"]
    assert int(pixels.sum()) == pixels.numel()
    maps = Path("/proc/self/smaps")
    if not maps.exists():
        pytest.skip("only Linux tells what memory is mapped")
    (mapping,) = re.findall(rf"{path}\n((?:[A-Z].*\n)*)", maps.read_text())
    sizes = {name: int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", mapping)}
    assert sizes["Rss"] * 1024 >= pixels.numel()
    assert sizes["Anonymous"] == 0


@pytest.mark.parametrize("name", ["SpawnProcess", "LokyProcess"])
def test_workers_are_spread_over_gpus(name: str) -> None:
    assert [gpu_of_worker(f"{name}-{i}", 3) for i in range(1, 8)] == [0, 1, 2, 0, 1, 2, 0]
    assert gpu_of_worker("MainProcess", 3) == 0


def test_a_device_is_a_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(current_process(), "name", "SpawnProcess-2")
    assert resolve_device("auto") == torch.device("cuda:1")
    assert resolve_device("cuda") == torch.device("cuda:1")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda")


@pytest.mark.parametrize(
    ("cluster", "module", "extra"), [("slurm", "submitit", "slurm"), ("ray", "ray", "ray")]
)
def test_what_is_not_installed_is_told(
    cluster: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    options = compose_trial([f"cluster={cluster}"]).cluster
    work = SimpleNamespace(
        config=OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}),
    )
    with pytest.raises(ValueError, match=rf"pip install -e '\.\[{extra}\]'"):
        list(instantiate(options).run(work, [()]))


def test_workers_of_a_cluster_do_not_fit() -> None:
    overrides = ["model=squeezenet1_1", "dataset.limit=20"]
    assert build_trial(compose_trial(overrides)).model.may_fit
    trial = build_trial(compose_trial([*overrides, "cluster=slurm"]))
    with pytest.raises(ValueError, match=r"first run python -m resilience\.prepare"):
        load_classifier(trial.model, trial.dataset, 10, torch.device("cpu"))


def test_where_trials_run_changes_nothing_that_is_prepared() -> None:
    where = ["cluster=slurm", "cluster.gpus=1", "workers=2", "hydra/launcher=joblib"]
    model = ["model=vgg19", "+model.network.dropout=0", "dataset.limit=20"]
    assert workload_overrides([*where, "hydra.launcher.n_jobs=2", *model]) == tuple(model)


def test_where_trials_run_does_not_move_their_directories() -> None:
    def directory(*overrides: str) -> str:
        config = compose_trial(overrides)
        OmegaConf.set_struct(config, False)
        return trial_directory(_root_=config)

    assert directory("cluster=slurm", "workers=3") == directory()


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(workers: int) -> None:
    local = Local(group=1, fit=True, workers=workers)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        list(local.run(None, []))  # type: ignore[arg-type]
