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

from resilience.faults.activations import PassingFaults, Stream
from resilience.number_formats import FORMATS
from resilience.faults.injection import Faults
from resilience.faults.population.layers import Layer
from resilience.faults.memory import values_at
from resilience.faults.population.tracing import used_layers
from resilience.inference.engine import Engine
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
class Subject:
    network: nn.Module
    inputs: Tensor
    weights: tuple[Fault, ...]
    neurons: tuple[Fault, ...]


def small() -> Subject:
    return Subject(
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


def residual() -> Subject:
    return Subject(
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
def subject(request: pytest.FixtureRequest) -> Subject:
    torch.manual_seed(0)
    made: Subject = request.param()
    made.network.eval().requires_grad_(False)
    return made


def test_faults_in_weights_do_what_they_do_in_pytorchfi(subject: Subject) -> None:
    for faults in (*((fault,) for fault in subject.weights), subject.weights):
        injector = injector_for(subject)
        k, *dims = columns(faults, 4)
        corrupted = injector.declare_weight_fi(k=k, **named(subject, faults, dims))
        expected = corrupted(subject.inputs)
        assert torch.equal(logits_with_weight_faults(subject, faults), expected)
    assert not torch.equal(subject.network(subject.inputs), expected)


def test_faults_in_neurons_do_what_they_do_in_pytorchfi(subject: Subject) -> None:
    golden = subject.network(subject.inputs)
    for faults in (*((fault,) for fault in subject.neurons), subject.neurons):
        injector = injector_for(subject)
        images = [fault.image for fault in faults]
        dims = columns(faults, 3)
        corrupted = injector.declare_neuron_fi(batch=images, **named(subject, faults, dims))
        expected = corrupted(subject.inputs)
        assert torch.equal(logits_with_neuron_faults(subject, faults), expected)
        assert (golden != expected).any(1).nonzero()[:, 0].tolist() == sorted(set(images))


def injector_for(subject: Subject) -> Any:
    shape = list(subject.inputs.shape[1:])
    return pytorchfi.fault_injection(subject.network, IMAGES, shape, list(KINDS))


def columns(faults: Sequence[Fault], number: int) -> list[list[int | None]]:
    """The first, second, ... coordinates of all faults; None where a layer has not so many."""
    endless = [chain(fault.element, repeat(None)) for fault in faults]
    return [[next(coordinates) for coordinates in endless] for _ in range(number)]


def named(
    subject: Subject, faults: Sequence[Fault], dims: Sequence[list[int | None]]
) -> dict[str, list[Any]]:
    modules = subject.network.named_modules()
    counted = [name for name, module in modules if isinstance(module, KINDS)]
    return {
        "layer_num": [counted.index(fault.layer) for fault in faults],
        "value": [fault.value for fault in faults],
        **{f"dim{number}": coordinates for number, coordinates in enumerate(dims, start=1)},
    }


def logits_with_weight_faults(subject: Subject, faults: Sequence[Fault]) -> Tensor:
    struck = []
    for layer, own in by_layer(subject, faults, "weights"):
        index = torch.from_numpy(sites(layer, own))
        weights = subject.network.get_parameter(f"{layer.name}.weight")
        after = torch.tensor([fault.value for fault in own])
        struck.append(Faults(layer.name, index, values_at(weights, index), after))
    engine = Engine(subject.network, subject.inputs[:1], optimise=False)
    with engine.corrupted(struck):
        return engine.run(subject.inputs)


def logits_with_neuron_faults(subject: Subject, faults: Sequence[Fault]) -> Tensor:
    struck = [passing(layer, own) for layer, own in by_layer(subject, faults, "activations")]
    layers = [fault.layer for fault in struck]
    engine = Engine(subject.network, subject.inputs[:1], optimise=False, exposed=layers)
    names = {id(engine.tensor(layer.owner)): layer.owner for layer in layers}
    stream = Stream(layers, names, FORMATS["float32"], struck)
    return stream.around(engine.run, IMAGES, IMAGES)(subject.inputs)


def passing(layer: Layer, faults: Sequence[Fault]) -> PassingFaults:
    by_image = [[fault for fault in faults if fault.image == image] for image in range(IMAGES)]

    def rule(
        image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        return torch.tensor([fault.value for fault in by_image[image]]), None

    return PassingFaults(layer, [sites(layer, own) for own in by_image], rule)


def by_layer(
    subject: Subject, faults: Sequence[Fault], part: str
) -> list[tuple[Layer, list[Fault]]]:
    grouped = defaultdict(list)
    for fault in faults:
        grouped[fault.layer].append(fault)
    layers = used_layers(subject.network, subject.inputs[:1])
    found = [layer for layer in layers if layer.part == part and layer.owner in grouped]
    assert len(found) == len(grouped)
    return [(layer, grouped[layer.owner]) for layer in found]


def sites(layer: Layer, faults: Sequence[Fault]) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers = [np.ravel_multi_index(fault.element, layer.shape) for fault in faults]
    return np.array(numbers, dtype=np.int64)
