"""A network that has everything that faults may strike, and trials on it."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from resilience.data.preprocessing import Preprocessing
from resilience.data.spec import Dataset
from resilience.faults.component import Component, describe
from resilience.faults.fault_plan import SamplingPlan
from resilience.faults.perturbations import AnyPerturbation, Random
from resilience.faults.population.sites import Scope, Uniform
from resilience.networks.spec import Model
from resilience.results.record import Result
from resilience.trials.settings import Settings
from resilience.trials.workloads import ConfiguredTrial, Workloads

PREPROCESSING = Preprocessing(8, 8)


class Noise:
    """Pictures of noise with labels that mean nothing."""

    classes = tuple(range(10))
    targets = tuple(i % 10 for i in range(60))

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index >= 60:
            raise IndexError
        noise = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(noise), self.targets[index]


class Everything(nn.Module):
    """Convolutions, three kinds of normalisation, attention and a linear layer, for 3 x 8 x 8."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(2, 8)
        self.down = nn.Conv2d(8, 16, 3, stride=2)
        self.norm3 = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (images, classes)."""
        values = torch.relu(self.norm1(self.stem(inputs)))
        values = torch.relu(self.norm2(self.conv(values)))
        tokens = self.norm3(self.down(values).flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        logits: Tensor = self.head(tokens.mean(1))
        return logits


def everything(seed: int = 0) -> Everything:
    """The network, with running statistics as after training."""
    torch.manual_seed(seed)
    network = Everything().eval().requires_grad_(False)
    network.norm1.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
    network.norm1.running_var.uniform_(0.3, 3)  # type: ignore[union-attr]
    return network


def faulty_trial(
    sites: Scope | Component[Any] | None = None,
    perturb: AnyPerturbation | Component[Any] | None = None,
    settings: dict[str, Any] | None = None,
    *,
    faults: int | None = 2,
    frate: float | None = None,
    draws: int = 1,
    strata: str | None = None,
    **factors: Any,
) -> ConfiguredTrial:
    """A trial on that network, of two faults drawn uniformly unless told otherwise."""
    plan = SamplingPlan(
        _described(sites or Uniform()),
        _described(perturb or Random()),
        frate,
        faults,
        draws,
        strata,
    )
    model = Model("all", Everything, "none", {"network": {}}, preprocessing=PREPROCESSING)
    return ConfiguredTrial(
        **{
            "model": model,
            "dataset": Dataset("noise", Noise, None, {"name": "noise"}),
            "plan": plan,
            "replica": 0,
            "seed": 0,
            "settings": Settings(**{"device": "cpu", "batch_size": 16, **(settings or {})}),
            **factors,
        }
    )


def _described(use: Any) -> Component[Any]:
    return use if isinstance(use, Component) else describe(use)


def run_trial(trial: ConfiguredTrial) -> tuple[Result, str]:
    """Run a trial on a workload of its own: its result, and its faults as CSV text."""
    return Workloads().run(trial)
