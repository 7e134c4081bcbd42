"""What the README shows does what it says."""

import re
from pathlib import Path

import pytest

from resilience.results.record import find_results, read_result
from tests.test_main import run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", README, re.DOTALL)

NETWORK = """
from torch import nn

class MyNetwork(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(
            nn.Conv2d(3, 4, 9, 8), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten(),
            nn.LazyLinear(num_classes),
        )
        self(__import__("torch").zeros(1, 3, 64, 64))
"""


def test_a_perturbation_and_a_model_of_ones_own(tmp_path: Path) -> None:
    for name, text in BLOCKS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with (tmp_path / "mine.py").open("a") as file:
        file.write(NETWORK)
    done = run(
        [
            *("--config-dir", "conf", "model=mine", "model.weights=none", "threads=1"),
            *("perturb._target_=mine.Noise", "+perturb.sd=0.5", "frate=0.1", "dataset.limit=20"),
        ],
        tmp_path,
        PYTHONPATH=".",
    )
    assert done.returncode == 0, done.stderr
    (path,) = find_results(tmp_path)
    result = read_result(path)
    assert (result.trial["model"], result.trial["perturb"]) == ("mine", "noise")
    assert result.parameters["perturb"] == {"sd": 0.5}
    assert result.provenance["preprocessing"]["crop"] == 64


@pytest.mark.slow
def test_a_dataset_of_ones_own(tmp_path: Path) -> None:
    (name, text), *_ = [block for block in BLOCKS if block[0] == "conf/dataset/cifar10.yaml"]
    (tmp_path / name).parent.mkdir(parents=True)
    # Torchvision's stand-in with the same interface, which needs no download.
    made = re.sub(
        r"\{_target_: torchvision.datasets.CIFAR10.*\}",
        "{_target_: torchvision.datasets.FakeData, size: 40, num_classes: 10}",
        text,
    )
    (tmp_path / name).write_text(made)
    done = run(
        [
            *("--config-dir", "conf", "dataset=cifar10", "model=shufflenet_v2_x1_0"),
            *("model.fit.epochs=1", "frate=1e-3", "threads=1"),
        ],
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = read_result(*find_results(tmp_path))
    assert result.trial["dataset"] == "cifar10"
    assert result.golden["images"] == 40
