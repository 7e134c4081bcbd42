"""The configuration, and the trial that is built from it."""

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

import resilience.config.schema  # noqa: F401 (registers the schema)
from resilience.system.console import console_level
from resilience.system.hashing import digest
from resilience.trials.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import, and composing needs none of it
    from resilience.faults.listed import Listed
    from resilience.trials.component import Choice
    from resilience.trials.trial import Trial

LISTED = "listed"
"""Name of sites and perturbation where a file lists the faults."""

_NOT_OF_TRIALS = (
    *("hydra", "analysis", "campaign", "shard", "cluster", "workers"),
    *("threads", "prefix_memory"),
)
"""What no figure of a trial depends on."""


def trial_directory(*, _root_: DictConfig) -> str:
    """Directory of a trial below its campaign, `MODEL/PERTURB/FRATE/replica-N-XXXXXXXX`.

    An exact number of faults, `faults-N`, stands where the rate would.

    The last part is a short hash of the composed configuration: no two trials share a
    directory, and another spelling of a number does not make another one.
    """
    config = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(config, dict)
    of_trial = {name: node for name, node in config.items() if name not in _NOT_OF_TRIALS}
    resolved = OmegaConf.to_container(OmegaConf.create(of_trial), resolve=True)
    assert isinstance(resolved, dict)
    resolved["perturb"] = _named(resolved["perturb"])
    replica = f"replica-{_root_.replica}-{digest(resolved)[:8]}"
    factors = factors_of(_root_)
    if _root_.faults_from:
        rate = "listed"
    else:
        rate = f"{_root_.frate:g}" if _root_.faults is None else f"faults-{_root_.faults}"
    return "/".join((factors["model"], factors["perturb"], rate, replica))


def campaign_directory(name: str | None, otherwise: str) -> str:
    """Directory of a campaign: that of its name, or the one it gets without a name."""
    return str(Path("multirun", name)) if name else otherwise


OmegaConf.register_new_resolver("trial_directory", trial_directory, replace=True)
OmegaConf.register_new_resolver("campaign_directory", campaign_directory, replace=True)
OmegaConf.register_new_resolver("console_level", console_level, replace=True)


def choice_name(node: DictConfig) -> str:
    """What results call a choice of sites or perturbation.

    Its `name` where it has one, else the name of its class: `zero` for
    `resilience.faults.perturbations.Zero`.
    """
    name: str = node.get("name") or node["_target_"].rpartition(".")[2]
    return name.lower()


def factors_of(config: DictConfig) -> dict[str, Any]:
    """The values of a configuration's factors, by name, whether a trial can be built or not."""
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
    """The failure rate; None where something else says how many faults there are."""
    return None if config.faults_from or config.faults is not None else float(config.frate)


def build_trial(config: DictConfig, campaign: Path | None = None) -> "Trial":
    """The trial that a composed configuration describes; nothing is loaded yet.

    Parameters
    ----------
    campaign
        The directory of the campaign that it belongs to.

    Raises
    ------
    omegaconf.errors.OmegaConfBaseException
        If a value is missing.
    hydra.errors.InstantiationException, ValueError
        If a target can't be made with its options.
    """
    from resilience.data.images import Dataset
    from resilience.data.preprocessing import Preprocessing
    from resilience.networks.models import Model
    from resilience.networks.training import Recipe
    from resilience.trials.component import Choice
    from resilience.trials.trial import Trial

    model, dataset = _resolved(config.model), _resolved(config.dataset)
    if model["weights"] is None:
        raise ValueError(
            f"no weights go with dataset {dataset['name']} by themselves; say model.weights=FILE"
        )
    preprocessing, network, images = model["preprocessing"], model["network"], dataset["images"]
    sites, perturb, listed = _choice(config.sites), _choice(config.perturb), _listed(config)
    if listed:
        # Which layers a list strikes the list alone says, and those are computed one by one.
        sites = Choice(listed, LISTED, {}, {"part": listed.parts, "from": listed.sha256})
        perturb = Choice(perturb.use, LISTED, {}, {})
    return Trial(
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
        sites=sites,
        perturb=perturb,
        frate=_rate(config),
        faults=config.faults,
        draws=config.draws,
        strata=config.strata,
        listed=listed,
        replica=config.replica,
        seed=config.seed,
        settings=Settings(
            device=config.device,
            precision=config.precision,
            format=config.format,
            optimise=config.optimise,
            compile=config.compile,
            batch_size=config.batch_size,
            threads=config.threads,
            prefix_memory=int(config.prefix_memory * 2**30),
            campaign=campaign,
        ),
    )


def _resolved(node: DictConfig) -> dict[str, Any]:
    """Plain values of a part of the configuration, all of them given."""
    values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What is left of options when those that determine no number are gone."""
    return {name: value for name, value in values.items() if name not in names}


def _build_network(options: Mapping[str, Any], classes: int) -> Any:
    """A network from its configuration, where `num_classes: null` means the dataset's."""
    if "num_classes" in options and options["num_classes"] is None:
        options = {**options, "num_classes": classes}
    return instantiate(dict(options), _convert_="all")


def _listed(config: DictConfig) -> "Listed | None":
    """The faults that a configuration names a file of."""
    if not config.faults_from:
        return None
    from resilience.faults.listed import read_list

    try:
        text = Path(config.faults_from).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"faults_from={config.faults_from} can't be read: {error}") from error
    return read_list(text, config.faults_from)


def _choice(node: DictConfig) -> "Choice[Any]":
    from resilience.trials.component import Choice

    given = _resolved(node)
    given.pop("name", None)
    use = instantiate(given, _convert_="all")
    target = get_object(given.pop("_target_"))
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not parameter.empty
    }
    # An integer given for a float is that float, and must seed the same generator.
    given = {
        name: float(value) if isinstance(defaults.get(name), float) else value
        for name, value in given.items()
    }
    changed = {
        name: value
        for name, value in given.items()
        if name not in defaults or value != defaults[name]
    }
    later = getattr(target, "LATER", ())
    options = {
        name: value
        for name, value in {**defaults, **given}.items()
        if name in changed or name not in later
    }
    return Choice(use, choice_name(node), _named(options), _named(changed))


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with names for the numbers that JSON has none for: `nan`, `inf`, `-inf`."""
    return {
        name: value if not isinstance(value, float) or math.isfinite(value) else str(value)
        for name, value in options.items()
    }
