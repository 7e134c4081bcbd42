"""Fitting: it learns, once, however many ask."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import torch

from resilience.data.images import Images
from resilience.data.preprocessing import Preprocessing
from resilience.networks import training
from resilience.networks.training import Recipe, fit, fitted_state
from resilience.system.tensors import state_sha256
from tests.conftest import SmallNetwork

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing(8, 8)
RECIPE = Recipe(epochs=2, batch_size=10)


def colours() -> Images:
    """Images of three classes: the colour that is bright, on noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 3
    pixels = torch.randint(0, 200, (200, 3, 8, 8), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(200), labels] += 50
    return Images(pixels, labels, 10, "colours")


def fitted(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return fitted_state(path, SmallNetwork(), colours(), PREPROCESSING, RECIPE, CPU)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_network_learns(optimizer: str) -> None:
    torch.manual_seed(0)
    network, images = SmallNetwork(), colours()
    fit(network, images, PREPROCESSING, Recipe(30, 0.01, 20, optimizer), CPU)
    with torch.no_grad():
        predicted = network(PREPROCESSING.normalised(images.pixels)).argmax(1)
    assert (predicted == images.labels).float().mean() > 0.9
    assert not network.training


def test_the_global_generator_is_left_alone() -> None:
    network, state = SmallNetwork(), torch.get_rng_state()
    fit(network, colours(), PREPROCESSING, RECIPE, CPU)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_second_request_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit.safetensors"
    first = fitted(path)
    monkeypatch.setattr(training, "fit", lambda *_: pytest.fail("must not fit again"))
    assert state_sha256(fitted(path)) == state_sha256(first)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_fitted_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "fit.safetensors"
    fitted(path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.unlink()
    path.write_bytes({"cut": content[:-100], "flip": content, "empty": b""}[damage])
    state = fitted(path)
    assert state_sha256(state) == state_sha256(fitted(path))


def _fit_in_process(path: Path, start: Barrier) -> None:
    def counted(*arguments: Any) -> None:
        with path.with_name("fits").open("a") as file:
            file.write("x")
        fit(*arguments)

    torch.set_num_threads(1)
    start.wait()
    training.fit = counted
    fitted(path)


@pytest.mark.slow
def test_two_processes_at_once_make_one_fit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    path = tmp_path / "fit.safetensors"
    workers = [context.Process(target=_fit_in_process, args=(path, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert path.with_name("fits").read_text() == "x"


def test_a_stopped_fit_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "fit.safetensors")
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
