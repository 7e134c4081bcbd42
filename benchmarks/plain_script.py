"""What a researcher would write without this program: one run, from files to a top-1 error.

    python benchmarks/plain_script.py --architecture resnet50 --weights resnet50.pth \
        --images images.csv [--faults faults.csv | --rate 1e-5 [--perturb random]]

One process is one run: it loads the network, decodes the images, corrupts a copy of the network
as PyTorchFI does, and evaluates it in batches of 32 in PyTorch's usual layout. It uses nothing
from `resilience`, and prints JSON.
"""

import argparse
import copy
import csv
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@dataclass(frozen=True)
class Fault:
    """A weight and its new value: name of its layer, index along each dimension."""

    layer: str
    index: tuple[int, ...]
    value: float


class Listed(Dataset[tuple[Tensor, int]]):
    """Images and labels from a CSV file with the columns file and label."""

    def __init__(self, path: Path, transform: Callable[[Image.Image], Tensor]) -> None:
        with path.open(newline="", encoding="utf-8") as file:
            self.rows = [(row["file"], int(row["label"])) for row in csv.DictReader(file)]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self.rows[index]
        return self.transform(Image.open(file).convert("RGB")), label


def decide_each(
    network: nn.Module, layers: Iterable[str], rate: float
) -> list[tuple[str, tuple[int, ...]]]:
    """Layers and indices of faulty weights: one random number per weight, in Python.

    PyTorchFI's `multi_weight_inj` does the same in nested loops, which are slower than this one.
    """
    struck = []
    for layer in layers:
        weight = network.get_parameter(f"{layer}.weight")
        for index in product(*map(range, weight.shape)):
            if random.random() < rate:
                struck.append((layer, index))
    return struck


def corrupted_copy(network: nn.Module, faults: Sequence[Fault]) -> nn.Module:
    """A copy of the whole network with its weights overwritten one by one, as PyTorchFI does."""
    corrupted = copy.deepcopy(network)
    with torch.no_grad():
        for fault in faults:
            weight = corrupted.get_parameter(f"{fault.layer}.weight")
            weight[fault.index] = fault.value
    return corrupted


def listed_faults(network: nn.Module, path: Path) -> list[Fault]:
    """The faults of a campaign's faults.csv."""
    faults = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            shape = network.get_parameter(f"{row['layer']}.weight").shape
            index = np.unravel_index(int(row["index"]), shape)
            faults.append(Fault(row["layer"], tuple(map(int, index)), float(row["after"])))
    return faults


def drawn_faults(network: nn.Module, rate: float, perturb: str) -> list[Fault]:
    """Faults in weights of convolutions, zero or uniform in [-1, 1]."""
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    return [
        Fault(layer, index, 0.0 if perturb == "zero" else random.uniform(-1, 1))
        for layer, index in decide_each(network, layers, rate)
    ]


def load_network(architecture: str, weights: Path) -> nn.Module:
    """A torchvision classifier with weights from a file, in evaluation mode."""
    state = torch.load(weights, weights_only=True)
    classes = [tensor for name, tensor in state.items() if name.endswith("bias")][-1].numel()
    options = {}
    if architecture == "inception_v3":
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    network: nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=classes, **options
    )
    network.load_state_dict(state)
    return network.eval()


def top1_error(network: nn.Module, images: Listed, workers: int) -> float:
    """Fraction of misclassified images."""
    wrong = 0
    with torch.no_grad():
        for inputs, labels in DataLoader(images, batch_size=32, num_workers=workers):
            wrong += int((network(inputs).argmax(1) != labels).sum())
    return wrong / len(images)


def main() -> None:
    """Do one run and print its top-1 error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="CSV file: file,label")
    parser.add_argument("--resize", type=int, default=256)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--workers", type=int, default=0, help="of PyTorch's DataLoader")
    parser.add_argument("--faults", type=Path, help="a campaign's faults.csv")
    parser.add_argument("--rate", type=float, help="draw faults in PyTorchFI's manner")
    parser.add_argument("--perturb", choices=("zero", "random"), default="zero")
    options = parser.parse_args()
    network = load_network(options.architecture, options.weights)
    images = Listed(
        options.images,
        transforms.Compose(
            [
                transforms.Resize(options.resize),
                transforms.CenterCrop(options.crop),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        ),
    )
    faults = []
    if options.faults:
        faults = listed_faults(network, options.faults)
    elif options.rate:
        faults = drawn_faults(network, options.rate, options.perturb)
    if faults:
        network = corrupted_copy(network, faults)
    error = top1_error(network, images, options.workers)
    print(json.dumps({"images": len(images), "faults": len(faults), "top1_error": error}))


if __name__ == "__main__":
    main()
