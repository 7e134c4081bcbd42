"""One trial: a golden run, faults, a corrupted run, and how the two compare."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from resilience.faults.draw import to_csv
from resilience.faults.fault_plan import SAMPLER_VERSION, FaultPlan, trial_generator
from resilience.faults.population import Population
from resilience.faults.population.layers import layer_name
from resilience.metrics import accuracy, judge
from resilience.results.record import Result
from resilience.system.hashing import identity_digest
from resilience.system.provenance import machine, processor, versions
from resilience.trials.outcome import DrawOutcome, fault_counts, mean_figures
from resilience.trials.settings import Settings
from resilience.trials.workload import Workload

log = logging.getLogger(__name__)


class Factor(Protocol):
    """A model or a dataset, as results record it."""

    @property
    def name(self) -> str:
        """The factor's value."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The configuration that identifies it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the design and one replica, with everything that determines its numbers."""

    model: Factor
    dataset: Factor
    plan: FaultPlan
    replica: int
    seed: int
    settings: Settings

    def factors(self) -> dict[str, Any]:
        """The values of the factors, by name."""
        return {
            "model": self.model.name,
            "dataset": self.dataset.name,
            **self.plan.factors(),
            "replica": self.replica,
            "seed": self.seed,
            "precision": self.settings.precision,
        }

    def parameters(self) -> dict[str, Any]:
        """Every option that determines the numbers, by what it belongs to."""
        return {
            "model": dict(self.model.parameters),
            "dataset": dict(self.dataset.parameters),
            **self.plan.options(),
            "settings": {
                "optimise": self.settings.optimise,
                "compile": self.settings.compile,
                **self.settings.storage(),
            },
            **self.plan.counts(),
        }

    def generator(self, draw: int = 0) -> np.random.Generator:
        """The generator of a draw's faults: the same on every machine and in any order."""
        return trial_generator(
            self.plan,
            model=self.model.name,
            dataset=self.dataset.name,
            replica=self.replica,
            seed=self.seed,
            format=self.settings.format,
            draw=draw,
        )


def run_trial(trial: Trial, workload: Workload) -> tuple[Result, str]:
    """Run one trial: its result, and its faults as CSV text.

    Raises
    ------
    UserError
        If something that the user asked for does not go together.
    RestorationError
        If the weights afterwards are not those from before.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    population = trial.plan.population(workload.population)
    _log_population(trial, workload, population)
    golden, labels = workload.golden, workload.samples.labels
    realised = trial.plan.realise(
        workload.population, workload.memory, trial.generator, trial.replica, len(labels)
    )
    draws = []
    for draw in tqdm(realised, "draws", total=trial.plan.draws, disable=None, leave=False, delay=3):
        outcome = judge(golden, workload.corrupted(draw), labels)
        draws.append(DrawOutcome(draw.by_layer, draw.faults, outcome))

    seconds = time.perf_counter() - clock
    before, after = accuracy(golden, labels), mean_figures(draws)
    faults = fault_counts(draws, population.layers)
    result = Result(
        trial=trial.factors(),
        parameters=trial.parameters(),
        fingerprint=identity_digest(identity(trial, workload)),
        faults={"population": population.size, **faults},
        golden=asdict(before),
        corrupted=after,
        draws=[draw.summary(number) for number, draw in enumerate(draws)],
        provenance={
            "versions": versions(),
            "machine": machine(),
            "device": str(workload.device),
            "device_name": _device_name(workload.device),
            "threads": workload.threads,
            "batch_size": workload.batch_size,
            "preprocessing": dict(workload.origin.preprocessing),
            "weights_sha256": workload.origin.weights_sha256,
            "images_sha256": workload.samples.sha256,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
    )
    factors = result.trial
    log.info(
        "%s %s%s replica %d: %d faults, top-1 error %.3f golden, %.3f corrupted (%.1f s)",
        *(factors["model"], factors["perturb"]),
        "" if factors["frate"] is None else f" frate {factors['frate']:g}",
        *(trial.replica, faults["count"], before.top1_error, after["top1_error"], seconds),
    )
    return result, to_csv([draw.faults for draw in draws])


def identity(trial: Trial, workload: Workload) -> dict[str, Any]:
    """Everything that determines the numbers; not threads, launcher, places or times."""
    return {
        "sampler": SAMPLER_VERSION,
        "factors": trial.factors(),
        **trial.plan.changed(),
        **trial.plan.counts(),
        **workload.identity(),
    }


def _log_population(trial: Trial, workload: Workload, population: Population) -> None:
    sizes = {layer_name(n): tensor.numel() for n, tensor in workload.network.named_parameters()}
    struck = sum(sizes.get(layer.name, 0) for layer in population)
    log.info(
        "sites=%s draws from %d layers with %s %s%s",
        trial.plan.factors()["sites"],
        len(population),
        f"{population.size:,}",
        population.unit,
        f", {100 * struck / sum(sizes.values()):.1f} % of the network's parameters"
        if struck
        else "",
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
