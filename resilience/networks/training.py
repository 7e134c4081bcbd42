"""Training a network from scratch on a small set of images, once."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from resilience.data.images import Images
from resilience.data.preprocessing import Preprocessing
from resilience.networks.spec import Recipe
from resilience.system import signals
from resilience.system.cache import made_once
from resilience.system.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

_NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def fitted_state(
    path: Path,
    network: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    recipe: Recipe,
    device: torch.device,
) -> dict[str, Tensor]:
    """Trained weights of a network, read from a file, which is created if it does not exist.

    Training is not bit-reproducible across machines; the file is what identifies the weights.
    """

    def make(temporary: Path) -> None:
        log.info(
            "fitting %s to %d images; the weights are then kept in the cache",
            path.stem,
            len(images),
        )
        fit(network, images, preprocessing, recipe, device)
        state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
        save_tensors(temporary, state)

    return made_once(path, make, lambda made: load_tensors(made)[0])


def fit(
    network: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    recipe: Recipe,
    device: torch.device,
) -> None:
    """Train a network in place to classify images.

    Images are shifted at random by up to an eighth of their size. Dropout stays off: there are
    too few steps for it to help. Networks without normalisation start from He initialisation,
    without which the signal dies out over many layers, and have their gradients clipped.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        network.to(device).to(memory_format=torch.channels_last).train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        clipped = not any(isinstance(module, _NORMALISATIONS) for module in network.modules())
        if clipped:
            _initialise(network)
        size = min(recipe.batch_size, len(images))
        steps = recipe.epochs * (len(images) // size)
        optimizer = _optimizer(network, recipe)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.3
        )
        batches = _batches(images, size, steps)
        with tqdm(batches, "fitting", steps, unit="step", disable=None, leave=False) as bar:
            for pixels, labels in bar:
                signals.check()
                inputs = preprocessing.normalised(pixels.to(device))
                loss = F.cross_entropy(network(inputs), labels.to(device))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if clipped:
                    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                bar.set_postfix(loss=f"{loss.item():.3f}")
    network.eval().requires_grad_(False)
    log.info("fitted in %.0f s, last loss %.3f", time.perf_counter() - started, loss.item())


def _initialise(network: nn.Module) -> None:
    """Apply He initialisation to weights, and set biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters, rate = list(network.parameters()), recipe.learning_rate
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05, fused=True)
    return torch.optim.SGD(
        parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )


def _batches(images: Images, size: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of shifted images, epoch after epoch, each epoch in a new order."""
    reach = images.pixels.shape[-1] // 8
    padded = F.pad(images.pixels, (reach,) * 4, mode="replicate")
    side = images.pixels.shape[-1]
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(images))
        chosen, order = order[:size], order[size:]
        shifts = torch.randint(0, 2 * reach + 1, (size, 2)).tolist()
        shifted = [
            padded[i, :, top : top + side, left : left + side]
            for i, (top, left) in zip(chosen.tolist(), shifts, strict=True)
        ]
        yield torch.stack(shifted), images.labels[chosen]
