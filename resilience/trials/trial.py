"""One trial: a golden run, faults, a corrupted run, and what the two have to say."""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from resilience.data.images import Dataset
from resilience.faults.fault_file import to_csv
from resilience.faults.injection import RestorationError
from resilience.faults.layers import PASSING
from resilience.faults.listed import Listed
from resilience.faults.perturbations import AnyPerturbation
from resilience.faults.sampling import Drawn, draw_faults
from resilience.faults.sites import SAMPLER_VERSION, Population, Sites, fault_count
from resilience.faults.stratification import STRATA, one_bit, one_layer
from resilience.metrics import accuracy, judge
from resilience.networks.models import Model
from resilience.results.record import Result
from resilience.system.hashing import digest
from resilience.system.provenance import machine, processor, versions
from resilience.trials.component import Choice
from resilience.trials.outcome import Draw, faults_of, mean_figures
from resilience.trials.settings import Settings
from resilience.trials.workload import Subject
from resilience.trials.workload_cache import forget, prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the design and one replica, with all that determines its numbers.

    Attributes
    ----------
    frate
        None where the number of faults is said, or faults are listed.
    faults
        Number of faults of each draw, in place of a rate.
    draws
        How many times faults are drawn, one after another, each for all images.
    strata
        What draws take turns over: `layer`, `bit`; None: nothing.
    listed
        Faults in place of drawn ones, with their draws.
    """

    model: Model
    dataset: Dataset
    sites: Choice[Sites]
    perturb: Choice[AnyPerturbation]
    frate: float | None
    replica: int
    seed: int
    settings: Settings
    faults: int | None = None
    draws: int = 1
    strata: str | None = None
    listed: Listed | None = None

    def __post_init__(self) -> None:
        for name in ("faults", "draws"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if self.strata not in (None, *STRATA):
            raise ValueError(f"strata must be one of {', '.join(STRATA)}, got {self.strata!r}")
        if self.listed and (self.faults, self.draws, self.strata) != (None, 1, None):
            raise ValueError("faults_from says all; leave faults, draws and strata out")

    def factors(self) -> dict[str, Any]:
        """The values of the factors, by name."""
        return {
            "model": self.model.name,
            "dataset": self.dataset.name,
            "sites": self.sites.name,
            "perturb": self.perturb.name,
            "frate": None if self.frate is None else float(self.frate),
            **({} if self.faults is None else {"faults": self.faults}),
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
                **self.settings.storage(),
            },
            **self.counts(),
        }

    def counts(self) -> dict[str, Any]:
        """How many faults, and how often, where that is not by a rate and once."""
        counts: dict[str, Any] = {}
        if self.listed:
            counts["faults"] = {"from": self.listed.sha256}
        elif self.faults is not None:
            counts["faults"] = {"count": self.faults}
        if (self.draws, self.strata) != (1, None):
            counts["draws"] = {"draws": self.draws, "strata": self.strata}
        return counts

    def generator(self, draw: int = 0) -> np.random.Generator:
        """The generator of a draw's faults: the same on every machine and in any order."""
        words = {
            "sampler": SAMPLER_VERSION,
            "seed": self.seed,
            "model": self.model.name,
            "dataset": self.dataset.name,
            "sites": {"name": self.sites.name, **self.sites.changed},
            "perturb": {"name": self.perturb.name, **self.perturb.changed},
            "frate": None if self.frate is None else repr(float(self.frate)),
            "replica": self.replica,
            **self.settings.storage(),
            **({} if self.faults is None else {"faults": self.faults}),
            **({} if self.strata is None else {"strata": self.strata}),
            **({"draw": draw} if draw else {}),
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
    subject = prepare(trial.model, trial.dataset, trial.settings, trial.sites)
    population = trial.sites.use.population(subject.layers)
    _log_population(trial, subject, population)
    golden, labels = subject.golden, subject.images.labels
    draws = []
    for drawn in _drawn(trial, subject, population):
        try:
            corrupted, struck = subject.corrupted(drawn)
        except RestorationError:
            forget(subject)  # no trial after it could believe its network
            raise
        outcome = judge(golden, corrupted, labels)
        draws.append(Draw(drawn.by_layer, struck, accuracy(corrupted, labels), outcome))

    seconds = time.perf_counter() - clock
    before, after = accuracy(golden, labels), mean_figures(draws)
    faults = faults_of(draws, population.layers)
    result = Result(
        trial=trial.factors(),
        parameters=trial.parameters(),
        fingerprint=digest(_identity(trial, subject)),
        faults={"population": population.size, **faults},
        golden=asdict(before),
        corrupted=after,
        draws=[draw.summary(number) for number, draw in enumerate(draws)],
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
        "%s %s%s replica %d: %d faults, top-1 error %.3f golden, %.3f corrupted (%.1f s)",
        *(trial.model.name, trial.perturb.name),
        "" if trial.frate is None else f" frate {trial.frate:g}",
        *(trial.replica, faults["count"], before.top1_error, after["top1_error"], seconds),
    )
    return result, to_csv([draw.struck for draw in draws])


def _drawn(trial: Trial, subject: Subject, population: Population) -> Iterator[Drawn]:
    """The faults of one draw after another."""
    images = len(subject.images)
    if trial.listed:
        yield from trial.listed.faults(population, subject.storage, images)
        return
    if trial.strata == "layer" and trial.faults is None:
        for layer in range(len(population.layers)):  # before any draw, as no later one may fail
            fault_count(trial.frate or 0.0, one_layer(population, layer))
    for number in tqdm(range(trial.draws), "draws", disable=None, leave=False, delay=3):
        among, perturb = population, trial.perturb.use
        turn = trial.replica * trial.draws + number
        if trial.strata == "layer":
            among = one_layer(population, turn)
        elif trial.strata == "bit":
            perturb = one_bit(perturb, subject.storage.common_format(population.layers), turn)
        count = fault_count(trial.frate or 0.0, among) if trial.faults is None else trial.faults
        rng = trial.generator(number)
        yield draw_faults(subject.storage, among, count, trial.sites.use, perturb, rng, images)


def identity(trial: Trial) -> dict[str, Any]:
    """All that the numbers depend on; not threads, launcher, places or times."""
    return _identity(trial, prepare(trial.model, trial.dataset, trial.settings, trial.sites))


def fingerprint(trial: Trial) -> str:
    """sha256 of all that the numbers depend on."""
    return digest(identity(trial))


def _identity(trial: Trial, subject: Subject) -> dict[str, Any]:
    return {
        "sampler": SAMPLER_VERSION,
        "factors": trial.factors(),
        "sites": dict(trial.sites.changed),
        "perturb": dict(trial.perturb.changed),
        **trial.counts(),
        **subject.identity(),
    }


def _log_population(trial: Trial, subject: Subject, population: Population) -> None:
    total = sum(tensor.numel() for tensor in subject.classifier.network.parameters())
    kept = sum(layer.size for layer in population.layers if layer.part not in PASSING)
    log.info(
        "sites=%s draws from %d layers with %s %s%s",
        trial.sites.name,
        len(population.layers),
        f"{population.size:,}",
        population.unit,
        f", {100 * kept / total:.1f} % of the network's parameters" if kept else "",
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
