"""One trial: a golden run, faults, a corrupted run, and what the two have to say."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from resilience.datasets import Dataset
from resilience.evaluation import accuracy, judge
from resilience.fault_list import to_csv
from resilience.identity import digest
from resilience.injection import draw_faults
from resilience.models import Model
from resilience.perturbations import Perturbation
from resilience.provenance import machine, processor, versions
from resilience.results import Result
from resilience.settings import Settings
from resilience.sites import SAMPLER_VERSION, Population, Sites, fault_count
from resilience.subject import Subject, prepare

log = logging.getLogger(__name__)
T = TypeVar("T")


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
    settings: Settings

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
            "precision": self.settings.precision,
        }

    def parameters(self) -> dict[str, Any]:
        """Every option that determines the numbers, by what it belongs to."""
        return {
            "model": dict(self.model.parameters),
            "dataset": dict(self.dataset.parameters),
            "sites": dict(self.sites.options),
            "perturb": dict(self.perturb.options),
            "settings": {
                "optimise": self.settings.optimise,
                "compile": self.settings.compile,
            },
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
    subject = prepare(trial.model, trial.dataset, trial.settings)
    network = subject.classifier.network
    population = trial.sites.use.population(subject.layers)
    count = fault_count(trial.frate, population)
    _log_population(trial, subject, population)
    faults = draw_faults(
        network, population, count, trial.sites.use, trial.perturb.use, trial.generator()
    )
    golden, corrupted = subject.golden, subject.corrupted(faults)

    labels = subject.images.labels
    before, after = accuracy(golden, labels), accuracy(corrupted, labels)
    seconds = time.perf_counter() - clock
    result = Result(
        trial=trial.factors(),
        parameters=trial.parameters(),
        fingerprint=digest(_identity(trial, subject)),
        faults={
            "population": population.size,
            "count": count,
            "by_layer": {fault.layer: len(fault.index) for fault in faults},
        },
        golden=asdict(before),
        corrupted=asdict(after) | asdict(judge(golden, corrupted)),
        provenance={
            "versions": versions(),
            "machine": machine(),
            "device": str(subject.classifier.device),
            "device_name": _device_name(subject.classifier.device),
            "threads": subject.threads,
            "batch_size": subject.batch_size,
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


def identity(trial: Trial) -> dict[str, Any]:
    """All that the numbers depend on; not threads, launcher, places or times."""
    return _identity(trial, prepare(trial.model, trial.dataset, trial.settings))


def fingerprint(trial: Trial) -> str:
    """sha256 of all that the numbers depend on."""
    return digest(identity(trial))


def _identity(trial: Trial, subject: Subject) -> dict[str, Any]:
    return {
        "sampler": SAMPLER_VERSION,
        "factors": trial.factors(),
        "sites": dict(trial.sites.changed),
        "perturb": dict(trial.perturb.changed),
        **subject.identity(),
    }


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
