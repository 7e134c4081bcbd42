"""Forward passes over all images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from resilience.system import signals


@torch.inference_mode()
def predict(run: Callable[..., Tensor], batches: Sequence[Sequence[Tensor]]) -> Tensor:
    """Logits of every image, float32, shape (images, classes), on the device that computed them.

    Parameters
    ----------
    run
        From the tensors of a batch to logits, shape (images of the batch, classes).

    Raises
    ------
    resilience.system.signals.Interrupted
        Between two batches, if the process was asked to stop.
    """
    # Delayed, as a short run needs no bar.
    shown = tqdm(batches, "evaluating", unit="batch", disable=None, leave=False, delay=3)
    logits = []
    for batch in shown:
        signals.check()
        logits.append(run(*batch).float())
    together = torch.cat(logits)
    return together.cpu() if together.is_mps else together  # MPS has no float64 for the metrics


def finite(logits: Tensor) -> Tensor:
    """Whether all outputs of an image are finite, shape (images,)."""
    return torch.isfinite(logits).all(1)
