"""Batch size and threads: measured once, bounded in memory, kept."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resilience.inference import autotune
from resilience.inference.autotune import kept_number, measured_batch_size, measured_threads


class Slow(nn.Module):
    """A network whose time is known: so much for a batch, so much for an image."""

    def __init__(self, batch: float, image: float) -> None:
        super().__init__()
        self._batch, self._image = batch, image

    def forward(self, inputs: Tensor) -> Tensor:
        time.sleep(self._batch + self._image * len(inputs))
        return inputs.mean((2, 3))


def test_batches_grow_while_that_pays() -> None:
    # Milliseconds an image with 4, 8, ... images: 6.0, 3.5, 2.25, 1.63, 1.31, 1.16, 1.08
    assert measured_batch_size(Slow(0.02, 0.001), torch.zeros(1, 3, 8, 8)) >= 64
    assert measured_batch_size(Slow(0.0, 0.02), torch.zeros(1, 3, 8, 8)) <= 8


def test_activations_of_a_batch_fit_into_the_working_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Flatten(), nn.Linear(1024, 2))
    monkeypatch.setattr(autotune, "_WORKING_MEMORY", 5 * 3 * 16 * 64 * 4)
    assert measured_batch_size(network, torch.zeros(1, 3, 8, 8)) <= 4
    monkeypatch.setattr(autotune, "_WORKING_MEMORY", 1)
    assert measured_batch_size(network, torch.zeros(1, 3, 8, 8)) == 1


def test_threads_are_halved_only_where_that_is_faster() -> None:
    class Crowded(nn.Module):
        """Slower by what each thread costs."""

        def forward(self, inputs: Tensor) -> Tensor:
            time.sleep(0.01 + self.each * torch.get_num_threads())
            return inputs

    available = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        network = Crowded()
        for network.each, expected in ((0.01, 2), (0.0, 4)):
            assert measured_threads(network, torch.zeros(1, 3, 8, 8)) == expected
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(available)


def test_a_number_is_measured_once_for_a_key(tmp_path: Path) -> None:
    numbers = iter((8, 16, 32))
    measure = numbers.__next__
    assert [kept_number({"model": "a"}, measure, tmp_path) for _ in range(3)] == [8, 8, 8]
    assert kept_number({"model": "b"}, measure, tmp_path) == 16
    (path,) = (p for p in tmp_path.glob("*.json") if json.loads(p.read_text())["model"] == "a")
    path.write_text("{")
    assert kept_number({"model": "a"}, measure, tmp_path) == 32
