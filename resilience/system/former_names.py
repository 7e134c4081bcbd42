"""Public names that were different in earlier results and configurations."""

from collections.abc import Mapping
from typing import Any

FORMER_NAMES = {
    "resilience.models.torchvision_network": "resilience.networks.torchvision_network",
    "resilience.sources.Digits": "resilience.data.Digits",
    "resilience.sources.ImageNet": "resilience.data.ImageNet",
    "resilience.sources.imagenette": "resilience.data.imagenette",
    "resilience.sources.image_folder": "resilience.data.image_folder",
    "resilience.bit_perturbations.BitFlip": "resilience.perturbations.BitFlip",
    "resilience.bit_perturbations.StuckAt": "resilience.perturbations.StuckAt",
    "resilience.bit_perturbations.BitPerturbation": "resilience.perturbations.BitPerturbation",
    "resilience.clusters.local.Local": "resilience.campaign.launchers.Local",
    "resilience.clusters.ray.Ray": "resilience.campaign.launchers.Ray",
    "resilience.clusters.slurm.Slurm": "resilience.campaign.launchers.Slurm",
    "resilience.console.Console": "resilience.system.Console",
}
"""Current names, by the names under which results first recorded them."""

_FIRST_NAMES = {present: first for first, present in FORMER_NAMES.items()}


def in_present_names(value: Any) -> Any:
    """The same JSON value with every former name replaced by the current one."""
    return _renamed(value, FORMER_NAMES)


def in_first_names(value: Any) -> Any:
    """The same JSON value with every name replaced by the one it was first recorded under."""
    return _renamed(value, _FIRST_NAMES)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    return value
