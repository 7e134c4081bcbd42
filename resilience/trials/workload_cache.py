"""The subjects that this process has made trials on last, kept for the next ones."""

from resilience.data.images import Dataset, load_images
from resilience.faults.sites import Sites
from resilience.networks.models import Model, choose_preprocessing, load_classifier, resolve_device
from resilience.system.hashing import digest
from resilience.trials.component import Choice
from resilience.trials.settings import SUBJECTS_KEPT, Settings
from resilience.trials.workload import Subject

_subjects: dict[tuple[str, Settings], Subject] = {}
"""Subjects of this process's latest trials, for the next ones to use again; oldest first."""


def prepare(
    model: Model, dataset: Dataset, settings: Settings, sites: Choice[Sites] | None = None
) -> Subject:
    """Load, fit or download what trials on a model and a dataset need.

    Parameters
    ----------
    sites
        Where faults are to strike; None: in weights, if anywhere.

    Raises
    ------
    ValueError
        If something that the user asked for does not exist or does not go together.
    """
    exposing = sites if sites and sites.changed.get("part", "weights") != "weights" else None
    what = [dict(model.parameters), dict(dataset.parameters)]
    if exposing:
        what.append({"sites": exposing.name, **exposing.changed})
    key = digest(what), settings
    if key in _subjects:
        return _subjects[key]
    if len(_subjects) == SUBJECTS_KEPT:
        _subjects.pop(next(iter(_subjects))).check_weights()
    device = resolve_device(settings.device)
    if settings.precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision=tf32 is for CUDA devices, not {device}; use float32")
    images = load_images(dataset, choose_preprocessing(model, dataset))
    classifier = load_classifier(model, dataset, images.classes, device)
    where = exposing.use if exposing else None
    _subjects[key] = Subject(model, classifier, images, settings, where)
    return _subjects[key]


def forget(subject: Subject) -> None:
    """Load this subject's network anew for the next trial on it."""
    for key in [key for key, kept in _subjects.items() if kept is subject]:
        del _subjects[key]


def check_all_weights() -> None:
    """Prove that the weights of every network in use are those that were loaded."""
    for subject in _subjects.values():
        subject.check_weights()
