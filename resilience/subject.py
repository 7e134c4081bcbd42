"""What trials are made on: a classifier, its images, its layers and its golden run."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from resilience.cache import (
    DamagedCacheError,
    cache_directory,
    load_tensors,
    made_once,
    save_tensors,
)
from resilience.datasets import Dataset, Images, load_images
from resilience.evaluation import finite, predict
from resilience.identity import digest
from resilience.injection import RestorationError
from resilience.models import (
    Classifier,
    Model,
    choose_preprocessing,
    load_classifier,
    resolve_device,
)
from resilience.sites import Layer, used_layers
from resilience.weights import state_sha256

PRECISION = "float32"
_SUBJECTS_KEPT = 3


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What trials are made on.

    Attributes
    ----------
    layers
        Every weight tensor that the network uses.
    golden
        Logits of the untouched network, shape (images, classes).
    """

    classifier: Classifier
    images: Images
    layers: tuple[Layer, ...]
    golden: Tensor

    def logits(self, batch_size: int) -> Tensor:
        """Logits of the network as it is now, shape (images, classes)."""
        return _logits(self.classifier, self.images.pixels, batch_size)

    def check_weights(self) -> None:
        """Prove that all weights are those that were loaded.

        Raises
        ------
        RestorationError
            If their sha256 is another.
        """
        if state_sha256(self.classifier.network.state_dict()) != self.classifier.weights_sha256:
            raise RestorationError("the network's weights are not those that were loaded")


_subjects: dict[str, Subject] = {}
"""Subjects of this process's latest trials, for the next ones to use again; oldest first."""


def prepare(model: Model, dataset: Dataset, device: str, batch_size: int) -> Subject:
    """Load, fit or download what trials on a model and a dataset need, and make the golden run.

    Raises
    ------
    ValueError
        If something that the user asked for does not exist or does not go together.
    """
    key = digest([dict(model.parameters), dict(dataset.parameters), device, batch_size])
    if key in _subjects:
        return _subjects[key]
    if len(_subjects) == _SUBJECTS_KEPT:
        _subjects.pop(next(iter(_subjects))).check_weights()
    # float32 means float32: cuDNN would use fewer bits for convolutions by itself.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    images = load_images(dataset, choose_preprocessing(model, dataset))
    classifier = load_classifier(model, dataset, images.classes, resolve_device(device))
    example = classifier.preprocessing.example().to(classifier.device)
    layers = used_layers(classifier.network, example)
    golden = _golden_logits(model, classifier, images, batch_size)
    _subjects[key] = Subject(classifier, images, layers, golden)
    return _subjects[key]


def check_all_weights() -> None:
    """Prove that the weights of every network in use are those that were loaded."""
    for subject in _subjects.values():
        subject.check_weights()


def _golden_logits(model: Model, classifier: Classifier, images: Images, batch_size: int) -> Tensor:
    """Logits of the untouched network, made once and kept in the user's cache."""
    key = digest(
        {
            "network": model.parameters["network"],
            "weights": classifier.weights_sha256,
            "images": images.sha256,
            "preprocessing": asdict(classifier.preprocessing),
            "precision": PRECISION,
            "device": classifier.device.type,
            "batch_size": batch_size,
            "torch": torch.__version__,
        }
    )
    # A network's code is in no hash: the first batch tells whether it still is the same network.
    first = _logits(classifier, images.pixels[:batch_size], batch_size)

    def make(path: Path) -> None:
        save_tensors(path, {"logits": _logits(classifier, images.pixels, batch_size)})

    def load(path: Path) -> Tensor:
        logits = load_tensors(path)[0]["logits"]
        if logits.shape != (len(images), first.shape[1]) or not torch.allclose(
            logits[:batch_size], first, rtol=1e-3, atol=1e-3, equal_nan=True
        ):
            raise DamagedCacheError("the network's outputs are not those of this golden run")
        return logits

    name = f"{model.name}-{key[:16]}.safetensors"
    logits = made_once(cache_directory() / "golden" / name, make, load)
    if not finite(logits).all():
        raise ValueError(
            f"the golden run of {model.name} gives non-finite outputs for "
            f"{int((~finite(logits)).sum())} images, so that no fault could be told from it; "
            "its weights are not fit for evaluation"
        )
    return logits


def _logits(classifier: Classifier, pixels: Tensor, batch_size: int) -> Tensor:
    return predict(
        classifier.network,
        pixels,
        classifier.preprocessing.normalised,
        batch_size,
        classifier.device,
    )
