"""What memory holds in each format, and what the network computes with."""

import pytest
import torch

from resilience.number_formats import FORMATS
from resilience.faults.population.layers import layer_tensors
from resilience.faults.memory import Memory
from resilience.faults.population.tracing import used_layers
from tests.faulty import everything

EXAMPLE = torch.zeros(1, 3, 8, 8)


def stored(format: str) -> Storage:
    network = everything()
    return Storage(network, used_layers(network, EXAMPLE), FORMATS[format])


@pytest.mark.parametrize("name", FORMATS)
def test_the_network_computes_with_what_memory_holds(name: str) -> None:
    storage, untouched = stored(name), layer_tensors(everything())
    for layer in used_layers(storage.network, EXAMPLE):
        if layer.name not in untouched:
            continue
        index = torch.arange(layer.size)
        codes = storage.codes(layer.name, index)
        assert codes.dtype == storage.format_of(layer.name).dtype
        values = storage.values(layer.name, index, codes)
        now, before = storage.tensor(layer.name).flatten(), untouched[layer.name].flatten()
        assert torch.equal(values, now)
        step = storage.scale(layer.name, index)
        near = before.abs() * torch.finfo(torch.bfloat16).eps if step is None else step / 2
        assert bool(((now - before).abs() <= near * 1.001).all())


def test_float32_leaves_every_bit() -> None:
    before = everything().state_dict()
    assert all(
        torch.equal(t, before[name]) for name, t in stored("float32").network.state_dict().items()
    )


@pytest.mark.parametrize(("name", "width"), [("float16", 16), ("bfloat16", 16), ("int8", 8)])
def test_each_part_has_its_format(name: str, width: int) -> None:
    storage = stored(name)
    assert storage.format_of("stem").width == storage.format_of("head").width == width
    others = {
        storage.format_of(layer).name for layer in ("stem.bias", "norm1", "norm1.running_var")
    }
    assert others == {"float32" if name == "int8" else name}  # int8 is of weights


def test_int8_weights_have_at_most_255_values_in_each_output_channel() -> None:
    storage = stored("int8")
    for channel in storage.tensor("down"):
        steps = channel / (channel.abs().max() / 127)
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert steps.abs().max() == pytest.approx(127)
