"""From outputs to figures: how wrong a network is, and what faults did to its decisions."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from resilience.inference.predict import finite


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How wrong a network is.

    Attributes
    ----------
    images
        Number of images.
    top1_error, top5_error
        Fractions in [0, 1]; an image with any non-finite output counts as wrong.
    mean_cross_entropy
        Nats, over images with finite outputs; None when there are none.
    """

    images: int
    top1_error: float
    top5_error: float
    mean_cross_entropy: float | None


@dataclass(frozen=True, slots=True)
class Outcome(Accuracy):
    """How wrong a corrupted network is, and what the faults did, image by image against golden.

    The first three rates are fractions that add up to 1. The classes of silent data corruption are
    those of Li et al. (SC 2017), of which `sdc_rate` is SDC-1; they count finite outputs only.

    Attributes
    ----------
    masked_rate
        Same top-1 class.
    sdc_rate
        Another top-1 class, silently: silent data corruption.
    due_rate
        Any non-finite output: detected unrecoverable error.
    sdc5_rate
        The top-1 class is none of the golden run's first five.
    sdc10pct_rate, sdc20pct_rate
        The softmax confidence in the golden run's top-1 class has changed by more than that part
        of itself.
    changed_correct
        Number of images that were right in the golden run and now have another class, silently.
    """

    masked_rate: float
    sdc_rate: float
    due_rate: float
    sdc5_rate: float
    sdc10pct_rate: float
    sdc20pct_rate: float
    changed_correct: int


def top1(logits: Tensor) -> Tensor:
    """Class with the largest logit, the first of equals; shape (images,)."""
    return logits.argmax(1)


def accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """Errors of logits, shape (images, classes), with respect to labels, shape (images,)."""
    labels = labels.to(logits.device)
    usable = finite(logits)
    rank = _rank(logits, labels)
    losses = F.cross_entropy(logits[usable].double(), labels[usable], reduction="none")
    return Accuracy(
        images=len(labels),
        top1_error=_share(~usable | (rank >= 1)),
        top5_error=_share(~usable | (rank >= 5)),
        mean_cross_entropy=losses.mean().item() if len(losses) else None,
    )


def judge(golden: Tensor, corrupted: Tensor, labels: Tensor) -> Outcome:
    """Compare the logits of a corrupted network with the golden ones, shapes (images, classes).

    Parameters
    ----------
    labels
        Shape (images,).
    """
    golden, labels = golden.to(corrupted.device), labels.to(corrupted.device)
    usable = finite(corrupted)
    before, after = top1(golden), top1(corrupted)
    changed = usable & (before != after)
    drift = _drift(golden, corrupted, before)
    return Outcome(
        **asdict(accuracy(corrupted, labels)),
        masked_rate=_share(usable & (before == after)),
        sdc_rate=_share(changed),
        due_rate=_share(~usable),
        sdc5_rate=_share(usable & (_rank(golden, after) >= 5)),
        sdc10pct_rate=_share(usable & (drift > 0.1)),
        sdc20pct_rate=_share(usable & (drift > 0.2)),
        changed_correct=int((changed & (before == labels)).sum()),
    )


def _drift(golden: Tensor, corrupted: Tensor, classes: Tensor) -> Tensor:
    """Relative change of the confidence in a class, shape (images,)."""
    before, after = (
        logits.double().softmax(1).gather(1, classes[:, None])[:, 0]
        for logits in (golden, corrupted)
    )
    return (after - before).abs() / before


def _rank(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of classes ranked above the label's; ties rank the lower index first."""
    own = logits.gather(1, labels[:, None])
    earlier = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & earlier)).sum(1)


def _share(chosen: Tensor) -> float:
    return int(chosen.sum()) / len(chosen)
