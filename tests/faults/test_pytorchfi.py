"""The same explicit faults, in weights and in neurons, give the logits that PyTorchFI 0.6.0 gives.

It counts weights by where their modules are defined and neurons by when they are computed, which
are the same order in these networks; a network with its faults in neurons can be run only once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from resilience.faults.activations import ActivationMemory
from resilience.faults.draw import ActivationFaults, LayerFaults
from resilience.faults.memory import values_at
from resilience.faults.population.layers import Layer
from resilience.faults.population.tracing import used_layers
from resilience.inference.engine import Engine
from resilience.number_formats import FORMATS
from tests.conftest import SmallNetwork

pytorchfi = pytest.importorskip("pytorchfi.core", reason="needs pytorchfi==0.6.0")

IMAGES = 4
KINDS = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Fault:
    """A value written into a layer's weights, or into what the layer gives for an image."""

    layer: str
    element: tuple[int, ...]
    value: float
    image: int = 0


@dataclass(frozen=True)
class Case:
    network: nn.Module
    inputs: Tensor
    weights: tuple[Fault, ...]
    neurons: tuple[Fault, ...]


def small() -> Case:
    return Case(
        SmallNetwork(),
        torch.randn(IMAGES, 3, 8, 8),
        (
            Fault("features.0", (0, 0, 0, 0), 3.0),
            Fault("features.0", (7, 2, 2, 1), -2.5),
            Fault("features.4", (15, 1, 0, 2), 1e30),
            Fault("head", (9, 100), 4.0),
        ),
        (
            Fault("features.0", (3, 0, 7), 10.0, image=0),
            Fault("features.0", (3, 0, 7), 20.0, image=2),
            Fault("features.4", (15, 2, 2), 1e30, image=3),
            Fault("head", (9,), -7.25, image=1),
        ),
    )


def residual() -> Case:
    return Case(
        resnet18(),
        torch.randn(IMAGES, 3, 64, 64),
        (
            Fault("conv1", (63, 2, 6, 6), 0.5),
            Fault("layer1.1.conv2", (1, 60, 2, 0), 4.0),
            Fault("layer2.0.downsample.0", (127, 5, 0, 0), -3.0),
            Fault("layer3.0.conv1", (200, 100, 1, 1), 8.0),
            Fault("fc", (999, 511), 2.0),
        ),
        (
            Fault("conv1", (5, 31, 31), 100.0, image=0),
            Fault("layer2.0.downsample.0", (127, 7, 0), 40.0, image=1),
            Fault("layer3.0.conv1", (200, 3, 2), 25.0, image=1),
            Fault("layer4.1.conv2", (511, 1, 1), 50.0, image=3),
            Fault("fc", (0,), 11.0, image=2),
        ),
    )


@pytest.fixture(params=[small, residual])
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    made: Case = request.param()
    made.network.eval().requires_grad_(False)
    return made


def test_faults_in_weights_do_what_they_do_in_pytorchfi(case: Case) -> None:
    for faults in (*((fault,) for fault in case.weights), case.weights):
        injector = injector_for(case)
        k, *dims = columns(faults, 4)
        corrupted = injector.declare_weight_fi(k=k, **named(case, faults, dims))
        expected = corrupted(case.inputs)
        assert torch.equal(logits_with_weight_faults(case, faults), expected)
    assert not torch.equal(case.network(case.inputs), expected)


def test_faults_in_neurons_do_what_they_do_in_pytorchfi(case: Case) -> None:
    golden = case.network(case.inputs)
    for faults in (*((fault,) for fault in case.neurons), case.neurons):
        injector = injector_for(case)
        images = [fault.image for fault in faults]
        dims = columns(faults, 3)
        corrupted = injector.declare_neuron_fi(batch=images, **named(case, faults, dims))
        expected = corrupted(case.inputs)
        assert torch.equal(logits_with_neuron_faults(case, faults), expected)
        assert (golden != expected).any(1).nonzero()[:, 0].tolist() == sorted(set(images))


def injector_for(case: Case) -> Any:
    shape = list(case.inputs.shape[1:])
    return pytorchfi.fault_injection(case.network, IMAGES, shape, list(KINDS))


def columns(faults: Sequence[Fault], number: int) -> list[list[int | None]]:
    """The first, second, ... coordinates of all faults; None where a layer has not so many."""
    endless = [chain(fault.element, repeat(None)) for fault in faults]
    return [[next(coordinates) for coordinates in endless] for _ in range(number)]


def named(
    case: Case, faults: Sequence[Fault], dims: Sequence[list[int | None]]
) -> dict[str, list[Any]]:
    modules = case.network.named_modules()
    counted = [name for name, module in modules if isinstance(module, KINDS)]
    return {
        "layer_num": [counted.index(fault.layer) for fault in faults],
        "value": [fault.value for fault in faults],
        **{f"dim{number}": coordinates for number, coordinates in enumerate(dims, start=1)},
    }


def logits_with_weight_faults(case: Case, faults: Sequence[Fault]) -> Tensor:
    struck = []
    for layer, own in by_layer(case, faults, "weights"):
        index = torch.from_numpy(sites(layer, own))
        weights = case.network.get_parameter(f"{layer.name}.weight")
        after = torch.tensor([fault.value for fault in own])
        struck.append(LayerFaults(layer.name, index, values_at(weights, index), after))
    engine = Engine(case.network, case.inputs[:1], optimise=False)
    with engine.corrupted(struck):
        return engine.run(case.inputs)


def logits_with_neuron_faults(case: Case, faults: Sequence[Fault]) -> Tensor:
    struck = [passing(layer, own) for layer, own in by_layer(case, faults, "activations")]
    layers = [fault.layer for fault in struck]
    engine = Engine(case.network, case.inputs[:1], optimise=False, exposed=layers)
    names = {id(engine.tensor(layer.owner)): layer.owner for layer in layers}
    memory = ActivationMemory(layers, names, FORMATS["float32"], struck)
    return memory.around(engine.run, [IMAGES])(case.inputs)


def passing(layer: Layer, faults: Sequence[Fault]) -> ActivationFaults:
    by_image = [[fault for fault in faults if fault.image == image] for image in range(IMAGES)]

    def rule(
        image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        return torch.tensor([fault.value for fault in by_image[image]]), None

    return ActivationFaults(layer, lambda image: sites(layer, by_image[image]), rule)


def by_layer(case: Case, faults: Sequence[Fault], part: str) -> list[tuple[Layer, list[Fault]]]:
    grouped = defaultdict(list)
    for fault in faults:
        grouped[fault.layer].append(fault)
    layers = used_layers(case.network, case.inputs[:1])
    found = [layer for layer in layers if layer.part == part and layer.owner in grouped]
    assert len(found) == len(grouped)
    return [(layer, grouped[layer.owner]) for layer in found]


def sites(layer: Layer, faults: Sequence[Fault]) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers = [np.ravel_multi_index(fault.element, layer.shape) for fault in faults]
    return np.array(numbers, dtype=np.int64)
