"""One trial: a golden run, faults, a corrupted run, and what the two have to say."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from resilience.cache import DamagedCacheError, cache_directory, made_once
from resilience.datasets import Dataset, Images, load_images
from resilience.evaluation import accuracy, finite, judge, predict
from resilience.fault_list import to_csv
from resilience.fitting import state_sha256
from resilience.identity import digest
from resilience.injection import RestorationError, bit_sums, check_restored, draw_faults, injected
from resilience.models import (
    Classifier,
    Model,
    choose_preprocessing,
    load_classifier,
    resolve_device,
)
from resilience.perturbations import Perturbation
from resilience.provenance import machine, processor, versions
from resilience.results import Result
from resilience.sites import SAMPLER_VERSION, Layer, Population, Sites, fault_count, used_layers

log = logging.getLogger(__name__)
T = TypeVar("T")

PRECISION = "float32"
_SUBJECTS_KEPT = 3


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One choice of what or where: the object that does it, its name in results, its options.

    Attributes
    ----------
    options
        All options, by name.
    changed
        Those that are not at their defaults. Only these enter the generator, so that an option
        that is added later changes no earlier trial.
    """

    use: T
    name: str
    options: Mapping[str, Any]
    changed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the design and one replica, with all that determines its numbers."""

    model: Model
    dataset: Dataset
    sites: Choice[Sites]
    perturb: Choice[Perturbation]
    frate: float
    replica: int
    seed: int
    batch_size: int
    device: str

    def factors(self) -> dict[str, Any]:
        """The values of the factors, by name."""
        return {
            "model": self.model.name,
            "dataset": self.dataset.name,
            "sites": self.sites.name,
            "perturb": self.perturb.name,
            "frate": float(self.frate),
            "replica": self.replica,
            "seed": self.seed,
            "precision": PRECISION,
        }

    def parameters(self) -> dict[str, Any]:
        """Every option that determines the numbers, by what it belongs to."""
        return {
            "model": dict(self.model.parameters),
            "dataset": dict(self.dataset.parameters),
            "sites": dict(self.sites.options),
            "perturb": dict(self.perturb.options),
        }

    def generator(self) -> np.random.Generator:
        """The generator of this trial's faults: the same on every machine and in any order."""
        words = {
            "sampler": SAMPLER_VERSION,
            "seed": self.seed,
            "model": self.model.name,
            "dataset": self.dataset.name,
            "sites": {"name": self.sites.name, **self.sites.changed},
            "perturb": {"name": self.perturb.name, **self.perturb.changed},
            "frate": repr(float(self.frate)),
            "replica": self.replica,
        }
        entropy = np.frombuffer(bytes.fromhex(digest(words)), dtype=">u4").tolist()
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


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


def run_trial(trial: Trial) -> tuple[Result, str]:
    """Make one trial: its result, and its faults as CSV text.

    Raises
    ------
    ValueError
        If something that the user asked for does not exist or does not go together.
    RestorationError
        If the weights afterwards are not those from before.
    """
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    subject = prepare(trial.model, trial.dataset, trial.device, trial.batch_size)
    network = subject.classifier.network
    population = trial.sites.use.population(subject.layers)
    count = fault_count(trial.frate, population)
    _log_population(trial, subject, population)
    faults = draw_faults(
        network, population, count, trial.sites.use, trial.perturb.use, trial.generator()
    )
    sums = bit_sums(network, faults)
    with injected(network, faults):
        corrupted = subject.logits(trial.batch_size)
    check_restored(network, faults, sums)

    labels = subject.images.labels
    before, after = accuracy(subject.golden, labels), accuracy(corrupted, labels)
    seconds = time.perf_counter() - clock
    result = Result(
        trial=trial.factors(),
        parameters=trial.parameters(),
        fingerprint=_fingerprint(trial, subject),
        faults={
            "population": population.size,
            "count": count,
            "by_layer": {fault.layer: len(fault.index) for fault in faults},
        },
        golden=asdict(before),
        corrupted=asdict(after) | asdict(judge(subject.golden, corrupted)),
        provenance={
            "versions": versions(),
            "machine": machine(),
            "device": str(subject.classifier.device),
            "device_name": _device_name(subject.classifier.device),
            "threads": torch.get_num_threads(),
            "batch_size": trial.batch_size,
            "preprocessing": asdict(subject.classifier.preprocessing),
            "weights_sha256": subject.classifier.weights_sha256,
            "images_sha256": subject.images.sha256,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
    )
    log.info(
        "%s %s frate %g replica %d: %d faults, top-1 error %.3f golden, %.3f corrupted (%.1f s)",
        *(trial.model.name, trial.perturb.name, trial.frate, trial.replica, count),
        *(before.top1_error, after.top1_error, seconds),
    )
    return result, to_csv(faults)


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
        save_file({"logits": _logits(classifier, images.pixels, batch_size)}, path)

    def load(path: Path) -> Tensor:
        try:
            logits = load_file(path)["logits"]
        except (SafetensorError, KeyError) as error:
            raise DamagedCacheError(str(error)) from error
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


def _fingerprint(trial: Trial, subject: Subject) -> str:
    """sha256 of all that the numbers depend on; not of threads, launcher, places or times."""
    return digest(
        {
            "sampler": SAMPLER_VERSION,
            "factors": trial.factors(),
            "sites": dict(trial.sites.changed),
            "perturb": dict(trial.perturb.changed),
            "network": trial.model.parameters["network"],
            "weights": subject.classifier.weights_sha256,
            "images": subject.images.sha256,
            "preprocessing": asdict(subject.classifier.preprocessing),
            "batch_size": trial.batch_size,
            "device": subject.classifier.device.type,
        }
    )


def _log_population(trial: Trial, subject: Subject, population: Population) -> None:
    total = sum(tensor.numel() for tensor in subject.classifier.network.parameters())
    log.info(
        "sites=%s draws from %d layers with %s weights, %.1f %% of the network's parameters",
        trial.sites.name,
        len(population.layers),
        f"{population.size:,}",
        100 * population.size / total,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
