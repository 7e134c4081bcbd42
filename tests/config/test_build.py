"""Configurations: every choice composes and can be made; sweeps are the design."""

import itertools
from pathlib import Path

import pytest
import resilience.conf
from hydra.errors import HydraException
from omegaconf import OmegaConf

from resilience.config.build import build_trial, trial_directory
from resilience.config.overrides import compose_trial, rates_as_choices, trial_overrides
from resilience.faults.fault_plan import SamplingPlan
from resilience.prepare import workloads
from resilience.trials.workloads import ConfiguredTrial

CONF = Path(resilience.conf.__file__).parent
COMMAND_OF_RECORD = [
    "model=vgg19,resnet50,inception_v3",
    "frate=1e-5,3e-5,5e-5",
    "perturb=zero,random",
]


def plan_of(trial: ConfiguredTrial) -> SamplingPlan:
    assert isinstance(trial.plan, SamplingPlan)
    return trial.plan


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("group", ["model", "dataset", "sites", "perturb", "frate"])
def test_every_choice_composes_and_makes_a_trial(group: str, tmp_path: Path) -> None:
    assert choices(group)
    for choice in choices(group):
        overrides = [f"{group}={choice}", "model.weights=none"]
        if choice == "torchvision":
            overrides.append("model.name=wide_resnet50_2")
        trial = build_trial(compose_trial(rates_as_choices(overrides)))
        plan = plan_of(trial)
        named = {
            "model": trial.model.name,
            "dataset": trial.dataset.name,
            "sites": plan.sites.name,
            "perturb": plan.perturb.name,
            "frate": f"{plan.rate:g}".replace("e-0", "e-"),
        }
        assert named[group] == choice.replace("torchvision", "wide_resnet50_2")


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_can_be_built(name: str) -> None:
    name_too = ["model.name=resnet34"] if name == "torchvision" else []
    trial = build_trial(compose_trial([f"model={name}", *name_too]))
    network = trial.model.build(7)
    heads = [m.weight.shape[0] for m in network.modules() if getattr(m, "weight", None) is not None]
    assert 7 in heads


TRIALS = {"paper": 3 * 3 * 2 * 10, "quickstart": 3 * 3 * 2 * 10, "layers": 10, "bits": 10}


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_has_its_trials_and_switches_multirun_on(name: str) -> None:
    from hydra import compose, initialize_config_module

    with initialize_config_module("resilience.conf", version_base="1.3"):
        config = compose("config", [f"experiment={name}"], return_hydra_config=True)
    assert config.hydra.mode.name == "MULTIRUN"
    assert len(trial_overrides([f"experiment={name}"])) == TRIALS[name]


@pytest.mark.parametrize(("name", "strata"), [("layers", 21), ("bits", 32)])
def test_experiments_of_layers_and_bits_give_each_its_turn(name: str, strata: int) -> None:
    trials = [build_trial(compose_trial(t)) for t in trial_overrides([f"experiment={name}"])]
    plans = [plan_of(trial) for trial in trials]
    assert {(plan.count, plan.strata) for plan in plans} == {(1, name.removesuffix("s"))}
    assert len(trials) * plans[0].draws >= 20 * strata


@pytest.mark.slow
def test_the_command_of_record_is_the_papers_design() -> None:
    trials = [build_trial(compose_trial(o)) for o in trial_overrides(COMMAND_OF_RECORD)]
    assert len(trials) == 180
    cells = [(t.model.name, plan_of(t).rate, plan_of(t).perturb.name, t.replica) for t in trials]
    assert sorted(cells) == sorted(
        itertools.product(
            ["inception_v3", "resnet50", "vgg19"], [1e-5, 3e-5, 5e-5], ["random", "zero"], range(10)
        )
    )
    assert {(plan_of(t).sites.name, t.dataset.name, t.dataset.limit) for t in trials} == {
        ("paper", "digits", 1000)
    }


def test_no_two_trials_share_a_directory() -> None:
    directories = {
        trial_directory(_root_=_with_hydra(overrides))
        for overrides in trial_overrides(["model=vgg19,resnet18", "frate=1e-5,2e-5", "seed=0,1"])
    }
    assert len(directories) == 2 * 2 * 2 * 10


def _with_hydra(overrides: list[str]) -> OmegaConf:
    config = compose_trial(overrides)
    OmegaConf.set_struct(config, False)
    config.hydra = {}
    return config


def test_spelling_a_rate_otherwise_is_the_same_trial() -> None:
    spelt = [
        trial_directory(_root_=_with_hydra(rates_as_choices([f"frate={rate}"])))
        for rate in ("1e-5", "0.00001", "1.0E-05")
    ]
    assert len(set(spelt)) == 1
    assert spelt[0].startswith("resnet50/zero/1e-05/replica-0-")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("frate=1e-5,3e-5", "frate='1e-05','3e-05'"),
        ("frate=0", "frate='0.0'"),
        ("frate=0.00002", "frate='2e-05'"),
        ("frate=choice(1e-5,2e-5)", "frate='1e-05','2e-05'"),
        ("frate=range(1,3)", "frate='1.0','2.0'"),
        ("frate='1e-5'", "frate='1e-5'"),
        ("frate=nonsense", "frate=nonsense"),
        ("seed=1,2", "seed=1,2"),
    ],
)
def test_rates_become_choices(given: str, meant: str) -> None:
    assert rates_as_choices([given]) == [meant]


@pytest.mark.parametrize("rate", [2e-5, 0.0, 1.0])
def test_any_rate_composes(rate: float) -> None:
    assert compose_trial(rates_as_choices([f"frate={rate!r}"])).frate == rate


def test_integers_given_for_floats_draw_the_same_faults() -> None:
    base = ["perturb=random"]
    one, other = (
        build_trial(compose_trial([*base, f"perturb.high={high}"])) for high in ("2", "2.0")
    )
    default = build_trial(compose_trial([*base, "perturb.high=1"]))
    assert one.generator().random() == other.generator().random()
    assert plan_of(one).perturb.changed == {"high": 2.0}
    assert plan_of(default).perturb.changed == {}


class Doubling:
    """A perturbation of a user's own, as the README shows."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def __call__(self, values, rng):  # type: ignore[no-untyped-def]
        return values * self.factor


def test_a_perturbation_of_ones_own_is_named_after_its_class() -> None:
    overrides = ["perturb._target_=tests.config.test_build.Doubling", "+perturb.factor=3"]
    trial = build_trial(compose_trial(overrides))
    perturb = plan_of(trial).perturb
    assert perturb.name == "doubling"
    assert perturb.options == {"factor": 3.0}
    assert isinstance(perturb.use, Doubling)


def test_prepare_does_each_model_once() -> None:
    ready = workloads(
        [*COMMAND_OF_RECORD[:2], "perturb=random", "dataset.limit=20", "perturb.low=-2"]
    )
    assert ready == [
        [f"model={name}", "dataset.limit=20"] for name in ("vgg19", "resnet50", "inception_v3")
    ]


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(HydraException, match="Could not find 'model/nope'"):
        compose_trial(["model=nope"])
