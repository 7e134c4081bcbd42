"""What all tests share: a cache of their own, and real data where it is to be had."""

import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("RESILIENCE_CACHE", str(cache))
    return cache


@pytest.fixture
def imagenet_root() -> Path:
    """A folder of real ImageNet images."""
    root = os.environ.get("IMAGENET_ROOT")
    if not root:
        pytest.skip("needs real ImageNet images: set IMAGENET_ROOT")
    return Path(root)


@pytest.fixture
def imagenet_weights() -> Path:
    """A folder of ImageNet weights, ARCHITECTURE.pth."""
    folder = os.environ.get("RESILIENCE_TEST_WEIGHTS")
    if not folder:
        pytest.skip("needs ImageNet weights: set RESILIENCE_TEST_WEIGHTS to a folder of ARCH.pth")
    return Path(folder)


class SmallNetwork(nn.Module):
    """Three convolutions and a linear layer, for 3 x 8 x 8 inputs."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten()),
        )
        self.head = nn.Linear(16 * 9, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(inputs))  # type: ignore[no-any-return]


class SlowNetwork(SmallNetwork):
    """The same, but each batch takes a while."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        time.sleep(0.2)
        return super().forward(inputs)


@pytest.fixture
def small_network() -> SmallNetwork:
    torch.manual_seed(0)
    return SmallNetwork().eval().requires_grad_(False)
