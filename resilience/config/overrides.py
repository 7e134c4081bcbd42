"""Command-line overrides: failure rates as Hydra accepts them, and the trials of a sweep."""

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_module
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

import resilience.config.build  # noqa: F401 (registers the schema)

CONFIG_MODULE = "resilience.conf"
CONFIG_NAME = "config"


def rates_as_choices(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments, with failure rates as Hydra accepts them.

    `frate` is a config group, and Hydra takes a group's choices to be words, never numbers. Each
    number becomes a choice of that name, quoted in the argument: `frate=1e-5,2e-5` becomes
    `frate='1e-05','2e-05'`. Other arguments are unchanged.
    """
    parser = OverridesParser.create()
    return [
        _rate_choices(parser, argument) if argument.startswith("frate=") else argument
        for argument in arguments
    ]


def _rate_choices(parser: OverridesParser, argument: str) -> str:
    override = parser.parse_override(argument)
    sweep = override.is_sweep_override()
    values = list(override.sweep_iterator()) if sweep else [override.value()]
    rates = [float(value) for value in values if isinstance(value, int | float)]
    if len(rates) < len(values):
        return argument
    names = [repr(rate) for rate in rates]
    for name in names:
        ConfigStore.instance().store(
            group="frate", name=name, node={"frate": float(name)}, package="_global_"
        )
    return "frate=" + ",".join(f"'{name}'" for name in names)


def trial_overrides(arguments: Sequence[str]) -> list[list[str]]:
    """The trials of a multirun with these command-line overrides: one list of overrides each."""
    parser = OverridesParser.create()
    given = parser.parse_overrides(rates_as_choices(arguments))
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        single = [
            str(override.input_line) for override in given if not override.is_sweep_override()
        ]
        params = compose(CONFIG_NAME, single, return_hydra_config=True).hydra.sweeper.params
    sweep = parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
    (trials,) = BasicSweeper.split_arguments([*sweep, *given], None)
    return trials


_FAULTS = ("frate", "faults", "faults_from", "draws", "strata", "perturb", "replica", "seed")
"""Overrides of these, and of their options, change neither model nor images."""

_WHERE = ("cluster", "workers", "shard", "campaign", "analysis", "hydra")
"""Nor do overrides of these, which only set where trials run and what happens to their results."""


def workload_overrides(trial: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a trial that determine its workload: its model and images.

    Its sites too, if they are not in weights: layers are then computed one by one.
    """
    parts = any(override.lstrip("+").startswith("sites.part=") for override in trial)
    return without(trial, (*_FAULTS, *_WHERE, *(() if parts else ("sites",))))


def without(overrides: Sequence[str], topics: Sequence[str]) -> tuple[str, ...]:
    """Overrides of a trial that set none of these options or groups, nor any part of them."""
    return tuple(
        override
        for override in overrides
        if re.split(r"[=./]", override.lstrip("+"))[0] not in topics
    )


def compose_trial(overrides: Sequence[str]) -> DictConfig:
    """The configuration of one trial, composed from overrides without sweeps."""
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        return compose(CONFIG_NAME, list(overrides))
