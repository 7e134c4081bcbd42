"""A network that has everything that faults may strike, and trials on it."""

from typing import Any

import torch
from torch import Tensor, nn

from resilience.data.images import Dataset
from resilience.faults.perturbations import AnyPerturbation, Random
from resilience.faults.population.sites import Scope, Uniform
from resilience.networks.models import Model
from resilience.trials.component import Choice
from resilience.trials.settings import Settings
from resilience.trials.trial import Trial
from tests.trials.test_trial import PREPROCESSING, Noise


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
    sites: Scope | None = None,
    perturb: AnyPerturbation | None = None,
    settings: dict[str, Any] | None = None,
    **factors: Any,
) -> Trial:
    """A trial on that network, of two faults drawn uniformly unless told otherwise."""
    sites, perturb = sites or Uniform(), perturb or Random()
    options = {name: getattr(sites, name) for name in ("part", "structure", "burst", "duration")}
    changed = {name: value for name, value in options.items() if value != getattr(Uniform(), name)}
    model = Model("all", Everything, "none", {"network": {}}, preprocessing=PREPROCESSING)
    return Trial(
        **{
            "model": model,
            "dataset": Dataset("noise", Noise, None, {"name": "noise"}),
            "sites": Choice(sites, type(sites).__name__.lower(), options, changed),
            "perturb": Choice(perturb, type(perturb).__name__.lower(), {}, {}),
            "frate": None,
            "faults": 2,
            "replica": 0,
            "seed": 0,
            "settings": Settings(**{"device": "cpu", "batch_size": 16, **(settings or {})}),
            **factors,
        }
    )
