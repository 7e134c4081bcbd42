"""Building a trial from its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

import resilience.config.schema  # noqa: F401 (registers the schema)
from resilience.faults.component import LISTED, in_json
from resilience.system.console import console_level
from resilience.system.errors import UserError
from resilience.system.former_names import in_present_names
from resilience.system.hashing import identity_digest
from resilience.trials.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import, and composing does not need it
    from resilience.faults.component import Component
    from resilience.faults.fault_plan import FaultPlan
    from resilience.trials.workloads import ConfiguredTrial

SETTINGS = {each.name for each in fields(Settings)} - {"prefix_memory", "campaign"}
"""Settings that options of the same names give."""

_NOT_OF_TRIALS = (
    *("hydra", "analysis", "campaign", "shard", "cluster", "workers"),
    *("threads", "prefix_memory"),
)
"""Options that none of a trial's numbers depend on."""


def trial_directory(*, _root_: DictConfig) -> str:
    """Directory of a trial below its campaign, `MODEL/PERTURB/FRATE/replica-N-XXXXXXXX`.

    An exact number of faults (`faults-N`) or a list of them (`listed`) replaces the rate.

    The last part is a short hash of the composed configuration: no two trials share a
    directory, and a different spelling of a number does not create another one.
    """
    config = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(config, dict)
    of_trial = {name: node for name, node in config.items() if name not in _NOT_OF_TRIALS}
    resolved = OmegaConf.to_container(OmegaConf.create(of_trial), resolve=True)
    assert isinstance(resolved, dict)
    resolved["perturb"] = in_json(resolved["perturb"])
    replica = f"replica-{_root_.replica}-{identity_digest(resolved)[:8]}"
    factors = factors_of(_root_)
    if _root_.faults_from:
        rate = "listed"
    else:
        rate = f"{_root_.frate:g}" if _root_.faults is None else f"faults-{_root_.faults}"
    return "/".join((factors["model"], factors["perturb"], rate, replica))


def campaign_directory(name: str | None, otherwise: str) -> str:
    """Directory of a campaign: the one for its name, or the default if it has none."""
    return str(Path("multirun", name)) if name else otherwise


OmegaConf.register_new_resolver("trial_directory", trial_directory, replace=True)
OmegaConf.register_new_resolver("campaign_directory", campaign_directory, replace=True)
OmegaConf.register_new_resolver("console_level", console_level, replace=True)


def choice_name(node: DictConfig) -> str:
    """Name of a choice of sites or perturbation in results.

    Its `name` if it has one, else the name of its class: `zero` for
    `resilience.perturbations.Zero`.
    """
    name: str = node.get("name") or node["_target_"].rpartition(".")[2]
    return name.lower()


def factors_of(config: DictConfig) -> dict[str, Any]:
    """The values of a configuration's factors, by name, even if no trial can be built from it."""
    return {
        "model": config.model.name,
        "dataset": config.dataset.name,
        "sites": LISTED if config.faults_from else choice_name(config.sites),
        "perturb": LISTED if config.faults_from else choice_name(config.perturb),
        "frate": _rate(config),
        **({} if config.faults is None else {"faults": config.faults}),
        "replica": config.replica,
        "seed": config.seed,
        "precision": config.precision,
    }


def _rate(config: DictConfig) -> float | None:
    """The failure rate; None if the number of faults is exact or listed."""
    return None if config.faults_from or config.faults is not None else float(config.frate)


def build_trial(config: DictConfig, campaign: Path | None = None) -> "ConfiguredTrial":
    """The trial that a composed configuration describes; nothing is loaded yet.

    Parameters
    ----------
    campaign
        Directory of the campaign that the trial belongs to.

    Raises
    ------
    omegaconf.errors.OmegaConfBaseException
        If a value is missing.
    hydra.errors.InstantiationException, UserError
        If a target can't be instantiated with its options.
    """
    from resilience.data.preprocessing import Preprocessing
    from resilience.data.spec import Dataset
    from resilience.networks.spec import Model, Recipe
    from resilience.trials.workloads import ConfiguredTrial

    model, dataset = _resolved(config.model), _resolved(config.dataset)
    if model["weights"] is None:
        raise UserError(f"dataset {dataset['name']} has no default weights; say model.weights=FILE")
    preprocessing, network, images = model["preprocessing"], model["network"], dataset["images"]
    return ConfiguredTrial(
        model=Model(
            name=model["name"],
            build=partial(_build_network, network),
            weights=model["weights"],
            parameters=_without(model, () if model["weights"] == "fit" else ("fit",)),
            architecture=network.get("architecture"),
            preprocessing=Preprocessing(**preprocessing) if preprocessing else None,
            recipe=Recipe(**model["fit"]),
            may_fit=config.cluster.fit and config.shard is None,
        ),
        dataset=Dataset(
            name=dataset["name"],
            source=partial(instantiate, images, _convert_="all"),
            fit=partial(instantiate, dataset["fit"], _convert_="all") if dataset["fit"] else None,
            parameters=_without(dataset, ("weights",)),
            image_size=dataset["image_size"],
            limit=dataset["limit"],
            seed=dataset["seed"],
            skip_corrupt=dataset["skip_corrupt"],
        ),
        plan=_fault_plan(config),
        replica=config.replica,
        seed=config.seed,
        settings=Settings(
            **{name: config[name] for name in SETTINGS},
            prefix_memory=int(config.prefix_memory * 2**30),
            campaign=campaign,
        ),
    )


def _resolved(node: DictConfig) -> dict[str, Any]:
    """Plain values of a part of the configuration, none of them missing."""
    values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return {str(key): in_present_names(value) for key, value in values.items()}


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Options without those that no number depends on."""
    return {name: value for name, value in values.items() if name not in names}


def _build_network(options: Mapping[str, Any], classes: int) -> Any:
    """A network from its configuration; `num_classes: null` means that of the dataset."""
    if "num_classes" in options and options["num_classes"] is None:
        options = {**options, "num_classes": classes}
    return instantiate(dict(options), _convert_="all")


def _fault_plan(config: DictConfig) -> "FaultPlan":
    """How a configuration's faults are drawn, or the list of them in a file."""
    from resilience.faults.fault_file import read_list_file
    from resilience.faults.fault_plan import SamplingPlan

    if not config.faults_from:
        return SamplingPlan(
            _component(config.sites),
            _component(config.perturb),
            _rate(config),
            config.faults,
            config.draws,
            config.strata,
        )
    if (config.faults, config.draws, config.strata) != (None, 1, None):
        raise UserError("faults_from already lists the faults; leave faults, draws and strata out")
    return read_list_file(config.faults_from)


def _component(node: DictConfig) -> "Component[Any]":
    from resilience.faults.component import describe

    given = _resolved(node)
    given.pop("name", None)
    use = instantiate(given, _convert_="all")
    made_by = get_object(given.pop("_target_"))
    return describe(use, choice_name(node), given, made_by)
