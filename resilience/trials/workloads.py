"""The workloads of a process: made for its first trial on them, kept for the next ones."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from resilience.data.images import load_images
from resilience.data.spec import Dataset
from resilience.faults.injection import RestorationError
from resilience.faults.population import Population
from resilience.inference.allocator import keep_freed_memory
from resilience.networks.models import choose_preprocessing, load_classifier, resolve_device
from resilience.networks.spec import Model
from resilience.results.record import Result
from resilience.system.errors import UserError
from resilience.system.hashing import identity_digest
from resilience.trials.samples import ImageSamples
from resilience.trials.settings import WORKLOADS_KEPT, Settings
from resilience.trials.trial import Trial, identity, run_trial
from resilience.trials.workload import Origin, Workload


@dataclass(frozen=True, slots=True)
class ConfiguredTrial(Trial):
    """A trial with the specifications of its workload."""

    model: Model
    dataset: Dataset


class Workloads:
    """Workloads of the latest trials; the oldest is dropped when there are too many."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Settings], Workload] = {}

    def of(self, trial: ConfiguredTrial) -> Workload:
        """The workload of a trial; loads, fits or downloads what it needs.

        Raises
        ------
        UserError
            If something that the user asked for does not exist or does not go together.
        """
        exposing = trial.plan.exposing
        what = [dict(trial.model.parameters), dict(trial.dataset.parameters)]
        if exposing is not None:
            what.append(dict(exposing))
        key = identity_digest(what), trial.settings
        if key not in self._kept:
            if len(self._kept) == WORKLOADS_KEPT:
                self._kept.pop(next(iter(self._kept))).check_weights()
            chosen = None if exposing is None else trial.plan.population
            self._kept[key] = make_workload(trial.model, trial.dataset, trial.settings, chosen)
        return self._kept[key]

    def run(self, trial: ConfiguredTrial) -> tuple[Result, str]:
        """Run a trial: its result, and its faults as CSV text.

        Raises
        ------
        UserError
            If something that the user asked for does not exist or does not go together.
        RestorationError
            If the weights afterwards are not those from before.
        """
        workload = self.of(trial)
        try:
            return run_trial(trial, workload)
        except RestorationError:
            self._forget(workload)  # no later trial could trust its network
            raise

    def fingerprint(self, trial: ConfiguredTrial) -> str:
        """sha256 of everything that the numbers of a trial depend on."""
        return identity_digest(self.identity(trial))

    def identity(self, trial: ConfiguredTrial) -> dict[str, Any]:
        """Everything that determines the numbers of a trial."""
        return identity(trial, self.of(trial))

    def check_weights(self) -> None:
        """Verify that the weights of every network are those that were loaded.

        Raises
        ------
        RestorationError
            If they are not.
        """
        for workload in self._kept.values():
            workload.check_weights()

    def _forget(self, workload: Workload) -> None:
        self._kept = {key: kept for key, kept in self._kept.items() if kept is not workload}


def make_workload(
    model: Model,
    dataset: Dataset,
    settings: Settings,
    exposing: Callable[[Population], Population] | None = None,
) -> Workload:
    """Load, fit or download what trials on a model and a dataset need.

    Raises
    ------
    UserError
        If something that the user asked for does not exist or does not go together.
    """
    keep_freed_memory()
    device = resolve_device(settings.device)
    if settings.precision == "tf32" and device.type != "cuda":
        raise UserError(f"precision=tf32 is for CUDA devices, not {device}; use float32")
    images = load_images(dataset, choose_preprocessing(model, dataset))
    classifier = load_classifier(model, dataset, images.classes, device)
    origin = Origin(
        model.name,
        classifier.weights_sha256,
        model.parameters["network"],
        asdict(classifier.preprocessing),
    )
    samples = ImageSamples(images, classifier.preprocessing)
    return Workload(classifier.network, samples, settings, origin, exposing)
