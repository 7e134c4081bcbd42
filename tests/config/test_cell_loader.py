"""Composing trials: a copied cell is what Hydra would have composed."""

import itertools

import pytest
from hydra import initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from resilience.campaign.sweep import by_workload, covering
from resilience.config.cell_loader import CellLoader
from resilience.config.overrides import rates_as_choices

HYDRA_OVERRIDES = ["hydra.sweep.dir=here", "hydra.job.config.override_dirname.kv_sep=+"]
TRIALS = [
    ["replica=0"],
    ["replica=12"],
    ["model=vgg19", "replica=7", "perturb=random", "perturb.low=-2"],
    ["model=vgg19", "replica=8", "perturb=random", "perturb.low=-2"],
    ["replica=1", "replica=2"],
    ["seed=3"],
    ["replica=3", "+model.network.replica=${replica}"],
    ["replica=1", "frate='2e-05'", "dataset.limit=5", "campaign=a", "shard=1/2"],
]


def test_a_copy_is_what_hydra_composes() -> None:
    rates_as_choices(["frate=2e-5"])
    with initialize_config_module("resilience.conf", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader
        master = hydra.compose_config("config", HYDRA_OVERRIDES, RunMode.MULTIRUN)
        ours = CellLoader(loader.get_search_path())
        for trial in [*TRIALS, *TRIALS]:
            expected = ConfigLoaderImpl.load_sweep_config(loader, master, trial)
            given = ours.load_sweep_config(master, trial)
            assert OmegaConf.to_container(given) == OmegaConf.to_container(expected)
            assert given.hydra.sweep.subdir == expected.hydra.sweep.subdir
            assert OmegaConf.get_type(given) is OmegaConf.get_type(expected)


def test_a_copy_takes_no_more_than_a_replica() -> None:
    with initialize_config_module("resilience.conf", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        master = hydra.compose_config("config", [], RunMode.MULTIRUN)
        ours = CellLoader(hydra.config_loader.get_search_path())
        for replica in range(5):
            assert ours.load_sweep_config(master, [f"replica={replica}"]).replica == replica
        assert len(ours._cells) == 1
        with pytest.raises(Exception, match="nonsense"):
            ours.load_sweep_config(master, ["replica=nonsense"])


def test_a_covering_has_every_override() -> None:
    trials = list(itertools.product(["a=1", "a=2", "a=3"], ["b=1"], ["c=1", "c=2"]))
    chosen = covering(trials)
    assert {word for trial in chosen for word in trial} == {w for trial in trials for w in trial}
    assert len(chosen) == 4
    assert covering([]) == []


def test_many_models_are_run_one_after_another() -> None:
    models = [f"model={letter}" for letter in "abcd"]
    trials = list(itertools.product(["replica=0", "replica=1"], models, ["frate=0.1", "frate=0.2"]))
    few = [trial for trial in trials if "model=d" not in trial]
    assert by_workload(few) == few
    order = by_workload(trials)
    assert sorted(order) == sorted(trials)
    assert [trial[1] for trial in order] == [model for model in models for _ in range(4)]
