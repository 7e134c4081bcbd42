"""From a network and images to figures: forward passes, and what their outputs amount to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from resilience.system import signals


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
class Outcome:
    """What faults did, image by image against the golden run.

    The first three are fractions that add up to 1. The classes of silent data corruption are those
    of Li et al. (SC 2017), of which `sdc_rate` is SDC-1; they count finite outputs only.

    Attributes
    ----------
    masked_rate
        Same top-1 class.
    sdc_rate
        Another top-1 class, silently: silent data corruption.
    due_rate
        Any non-finite output: detectable, unrecoverable.
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


@torch.inference_mode()
def predict(run: Callable[..., Tensor], batches: Sequence[Sequence[Tensor]]) -> Tensor:
    """Logits of every image, float32 on the CPU, shape (images, classes).

    Parameters
    ----------
    run
        From what a batch holds to logits, shape (images of the batch, classes).

    Raises
    ------
    resilience.system.signals.Interrupted
        Between two batches, if the process was asked to stop.
    """
    # Only a run that takes a while deserves a bar.
    shown = tqdm(batches, "evaluating", unit="batch", disable=None, leave=False, delay=3)
    logits = []
    for batch in shown:
        signals.check()
        logits.append(run(*batch).float())
    return torch.cat(logits).cpu()


def top1(logits: Tensor) -> Tensor:
    """Class with the largest logit, the first of equals; shape (images,)."""
    return logits.argmax(1)


def finite(logits: Tensor) -> Tensor:
    """Whether all outputs of an image are finite; shape (images,)."""
    return torch.isfinite(logits).all(1)


def accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """How wrong logits of shape (images, classes) are about labels of shape (images,)."""
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
    usable = finite(corrupted)
    before, after = top1(golden), top1(corrupted)
    changed = usable & (before != after)
    drift = _drift(golden, corrupted, before)
    return Outcome(
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
    """Number of classes that come before the label's; of equal logits the first comes first."""
    own = logits.gather(1, labels[:, None])
    earlier = torch.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & earlier)).sum(1)


def _share(chosen: Tensor) -> float:
    return int(chosen.sum()) / len(chosen)
