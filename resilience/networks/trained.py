"""Fitted weights: finding them in the cache, or training them."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from resilience.data.images import Images, load_images
from resilience.data.preprocessing import Preprocessing
from resilience.data.spec import Dataset
from resilience.networks.spec import Model
from resilience.networks.training import fitted_state
from resilience.system.cache import cache_directory
from resilience.system.errors import UserError
from resilience.system.hashing import identity_digest


def fitted_weights(
    model: Model,
    preprocessing: Preprocessing,
    network: nn.Module,
    dataset: Dataset,
    classes: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Weights of a model trained on a dataset: trained once, then read from the cache.

    Raises
    ------
    UserError
        If they are not in the cache and the model may not fit, or the dataset's images to fit on
        have a different number of classes from those to test on.
    """
    images = load_images(dataset.to_fit(), preprocessing)
    if images.classes != classes:
        raise UserError(
            f"dataset {dataset.name} has {classes} classes to test on and {images.classes} to fit "
            "on; dataset.images and dataset.fit must have the same"
        )
    path = _path(model, preprocessing, dataset, images)
    if not model.may_fit:
        _require(path, model)
    return fitted_state(path, network, images, preprocessing, model.recipe, device)


def require_fitted(model: Model, preprocessing: Preprocessing, dataset: Dataset) -> None:
    """Make sure that the cache has the fitted weights of a model.

    Raises
    ------
    UserError
        If it does not; says how to provide them.
    """
    images = load_images(dataset.to_fit(), preprocessing)
    _require(_path(model, preprocessing, dataset, images), model)


def _path(model: Model, preprocessing: Preprocessing, dataset: Dataset, images: Images) -> Path:
    key = identity_digest(
        {
            "model": dict(model.parameters),
            "recipe": asdict(model.recipe),
            "preprocessing": asdict(preprocessing),
            "images": images.sha256,
        }
    )
    return cache_directory() / "fits" / f"{model.name}-{dataset.name}-{key[:16]}.safetensors"


def _require(path: Path, model: Model) -> None:
    if not path.exists():
        raise UserError(
            f"{model.name} has no fitted weights in {path.parent}, and a campaign on many machines "
            "does not fit on each of them; "
            "first run python -m resilience.prepare with the same overrides"
        )
