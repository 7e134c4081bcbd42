"""Classifiers: a network, the preprocessing of its images, and its weights."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from resilience.data.preprocessing import Preprocessing
from resilience.data.spec import Dataset
from resilience.networks.checkpoints import load_file
from resilience.networks.devices import gpu_of_worker
from resilience.networks.spec import Model
from resilience.networks.trained import fitted_weights
from resilience.system.errors import UserError
from resilience.system.tensors import state_sha256


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A network ready for evaluation: in evaluation mode, channels-last, without gradients."""

    network: nn.Module
    preprocessing: Preprocessing
    device: torch.device
    weights_sha256: str


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` stands for.

    With several GPUs, `auto` and `cuda` spread the workers of a machine over them.

    Raises
    ------
    UserError
        For an unknown device, or one that is not available.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    if name == "cuda" and torch.cuda.device_count() > 1:
        name = f"cuda:{gpu_of_worker(current_process().name, torch.cuda.device_count())}"
    kind, _, index = name.partition(":")
    if kind not in available or (index and not index.isdecimal()):
        raise UserError(f"device must be auto, cpu, cuda, cuda:INDEX or mps, got {name!r}")
    if not available[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise UserError(f"device={name} is not available on this machine; use device=auto")
    return torch.device(name)


def torchvision_network(architecture: str, num_classes: int, **options: Any) -> nn.Module:
    """A torchvision classifier with fresh weights.

    Parameters
    ----------
    architecture
        As torchvision spells it: `vgg19`, `resnet50`, `inception_v3`, ...
    options
        Passed to torchvision's builder.

    Raises
    ------
    UserError
        For an architecture that torchvision does not have.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known) or known
        raise UserError(
            f"torchvision has no classifier {architecture!r}; near: {', '.join(near[:8])}"
        )
    if architecture in ("googlenet", "inception_v3"):
        # transform_input: torchvision sets it for its own weights of these two.
        own = {"aux_logits": False, "transform_input": True, "init_weights": True}
        options = own | options
    network: nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=num_classes, **options
    )
    return network


def choose_preprocessing(model: Model, dataset: Dataset) -> Preprocessing:
    """The preprocessing of a model's images.

    The model's own if configured; else the dataset's image size, or the smallest above it that
    the architecture accepts; else that with which torchvision's weights were evaluated.

    Raises
    ------
    UserError
        If none of these determines it.
    """
    if model.preprocessing is not None:
        return model.preprocessing
    known = _torchvision_weights(model)
    named = known.get(model.weights) or next(iter(known.values()), None)
    if dataset.image_size is not None:
        size = max(dataset.image_size, *(named.meta["min_size"] if named else (0,)))
        return Preprocessing(resize=size, crop=size)
    if named is None:
        raise UserError(
            f"the preprocessing of {model.name} is not known; "
            "set model.preprocessing (resize, crop, mean, std) or dataset.image_size"
        )
    wanted = named.transforms()
    return Preprocessing(
        resize=wanted.resize_size[0],
        crop=wanted.crop_size[0],
        mean=wanted.mean,
        std=wanted.std,
        interpolation=wanted.interpolation.value,
    )


def load_classifier(
    model: Model, dataset: Dataset, classes: int, device: torch.device
) -> Classifier:
    """Build a network and load its weights.

    Parameters
    ----------
    dataset
        Provides the images to fit on, if the weights are `fit`.
    classes
        Number of classes in the dataset.

    Raises
    ------
    UserError
        If the weights do not exist, do not match the network, or can't be downloaded, or the
        network has a different number of output classes.
    """
    preprocessing = choose_preprocessing(model, dataset)
    if model.weights in _torchvision_weights(model):
        network = _pretrained(model)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = model.build(classes)
        if model.weights == "fit":
            state = fitted_weights(model, preprocessing, network, dataset, classes, device)
            network.load_state_dict(state)
        elif model.weights != "none":
            load_file(network, _existing_file(model))
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    outputs = _outputs(network, preprocessing, device)
    if outputs != classes:
        raise UserError(
            f"model {model.name} has {outputs} output classes (weights {model.weights}), "
            f"dataset {dataset.name} has {classes}; "
            "choose weights and a dataset with the same number of classes"
        )
    return Classifier(network, preprocessing, device, state_sha256(network.state_dict()))


def _torchvision_weights(model: Model) -> Mapping[str, Any]:
    """torchvision's weights for a model's architecture, by name; empty for a custom network."""
    known = torchvision.models.list_models(module=torchvision.models)
    if model.architecture not in known:
        return {}
    members = torchvision.models.get_model_weights(model.architecture).__members__
    return dict(members)


def _pretrained(model: Model) -> nn.Module:
    weights = _torchvision_weights(model)[model.weights]
    try:
        network: nn.Module = torchvision.models.get_model(
            model.architecture, weights=weights, progress=True
        )
    except OSError as error:
        checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
        raise UserError(
            f"{weights} of {model.name} can't be downloaded ({error}); without a network, copy "
            f"{weights.url.rpartition('/')[2]} into {checkpoints}, or give model.weights=FILE"
        ) from error
    return network


def _existing_file(model: Model) -> Path:
    path = Path(model.weights).expanduser()
    if not path.is_file():
        choices = ", ".join(["fit", "none", *_torchvision_weights(model)])
        raise UserError(f"model.weights={model.weights} is neither a file nor one of {choices}")
    return path


def _outputs(network: nn.Module, preprocessing: Preprocessing, device: torch.device) -> int:
    """Number of output classes of a network."""
    with torch.inference_mode():
        logits = network(preprocessing.example().to(device))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise UserError("a classifier must return logits of shape (images, classes)")
    return logits.shape[1]
