"""What memory holds in each format, and what the network computes with."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from resilience.faults.memory import DTYPES, Memory, decode, encode, held, int8_scale, raw_bits
from resilience.faults.population.layers import layer_tensors
from resilience.faults.population.tracing import find_layers
from resilience.number_formats import FORMATS
from resilience.system.errors import UserError
from tests.faulty import Everything, everything

EXAMPLE = torch.zeros(1, 3, 8, 8)


finite = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50).map(torch.tensor)


def stored(format: str) -> tuple[Everything, Memory]:
    """A network that is rounded to what its memory can hold."""
    network = everything()
    memory = Memory(find_layers(network, EXAMPLE), FORMATS[format])
    memory.round()
    return network, memory


@pytest.mark.parametrize("name", FORMATS)
def test_the_network_computes_with_what_memory_holds(name: str) -> None:
    (network, memory), untouched = stored(name), layer_tensors(everything())
    for layer in find_layers(network, EXAMPLE):
        if layer.name not in untouched:
            continue
        index = torch.arange(layer.size)
        codes = memory.codes(layer.name, index)
        assert codes.dtype == DTYPES[memory.format_of(layer.name).name]
        values = memory.values(layer.name, index, codes)
        now, before = memory.tensor(layer.name).flatten(), untouched[layer.name].flatten()
        assert torch.equal(values, now)
        assert torch.equal(values, layer_tensors(network)[layer.name].flatten())
        step = memory.scale(layer.name, index)
        near = before.abs() * torch.finfo(torch.bfloat16).eps if step is None else step / 2
        assert bool(((now - before).abs() <= near * 1.001).all())


def test_float32_leaves_every_bit() -> None:
    before = everything().state_dict()
    network, _ = stored("float32")
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize(("name", "width"), [("float16", 16), ("bfloat16", 16), ("int8", 8)])
def test_each_part_has_its_format(name: str, width: int) -> None:
    _, memory = stored(name)
    assert memory.format_of("stem").width == memory.format_of("head").width == width
    others = {memory.format_of(layer).name for layer in ("stem.bias", "norm1", "norm1.running_var")}
    assert others == {"float32" if name == "int8" else name}  # int8 is of weights


def test_int8_weights_have_at_most_255_values_in_each_output_channel() -> None:
    _, memory = stored("int8")
    for channel in memory.tensor("down"):
        steps = channel / (channel.abs().max() / 127)
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert steps.abs().max() == pytest.approx(127)


@pytest.mark.parametrize("name", FORMATS)
def test_memory_only_reads_the_network_until_it_is_rounded(name: str) -> None:
    """What it tells of an untouched network is what it tells once that is rounded."""
    network, (_, rounded) = everything(), stored(name)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    population = find_layers(network, EXAMPLE)
    memory = Memory(population, FORMATS[name])
    for layer in population:
        if layer.part in ("activations", "inputs"):
            continue
        index = torch.arange(layer.size)
        codes, others = (each.codes(layer.name, index) for each in (memory, rounded))
        assert torch.equal(raw_bits(codes), raw_bits(others))
        assert torch.equal(memory.tensor(layer.name), rounded.tensor(layer.name))
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize("name", FORMATS)
def test_a_network_is_held_in_a_format_for_the_length_of_a_block(name: str) -> None:
    network, (rounded, _) = everything(), stored(name)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with (
        pytest.raises(KeyboardInterrupt),
        held(network, find_layers(network, EXAMPLE), FORMATS[name]),
    ):
        for key, tensor in rounded.state_dict().items():
            assert torch.equal(tensor, network.state_dict()[key])
        raise KeyboardInterrupt
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_a_network_of_another_width_is_refused_with_what_to_do() -> None:
    half = everything().half()
    layers = find_layers(everything(), EXAMPLE).layers
    population = find_layers(everything(), EXAMPLE)
    tensors = {name: tensor.detach() for name, tensor in layer_tensors(half).items()}
    other = type(population)(layers, tensors)
    with pytest.raises(UserError, match=r"stem of the network is float16.*format=float16"):
        Memory(other).codes("stem", torch.arange(3))
    codes = Memory(other, FORMATS["float16"]).codes("stem", torch.arange(3))
    assert torch.equal(codes, tensors["stem"].flatten()[:3])


@given(bits=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_float32_keeps_every_bit(bits: list[int]) -> None:
    raw = torch.tensor(bits, dtype=torch.int32)
    values = raw.view(torch.float32)
    held = decode(encode(values, FORMATS["float32"]))
    assert torch.equal(raw_bits(held), raw)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@given(values=finite)
def test_short_floats_round_as_numpy_does(name: str, values: Tensor) -> None:
    format = FORMATS[name]
    held = decode(encode(values, format))
    assert torch.equal(decode(encode(held, format)), held)
    if name == "float16":
        assert np.array_equal(held.numpy(), values.numpy().astype(np.float16).astype(np.float32))
    spacing = torch.finfo(DTYPES[name]).eps
    tiny = torch.finfo(DTYPES[name]).smallest_normal
    assert bool(((held - values).abs() <= spacing / 2 * values.abs().clamp_min(tiny)).all())


@given(values=finite)
def test_int8_is_off_by_half_a_step_at_most(values: Tensor) -> None:
    scale = int8_scale(values[None])[0]
    held = decode(encode(values, FORMATS["int8"], scale), scale)
    assert bool(((held - values).abs() <= scale * (0.5 + 1e-4)).all())
    largest = values.abs().argmax()
    if scale > torch.finfo(torch.float32).tiny:  # below it, steps would be no normal numbers
        assert math.isclose(held[largest], values[largest], rel_tol=1e-6)


def test_int8_rounds_to_even_and_saturates() -> None:
    values = torch.tensor([0.5, 1.5, 2.5, -0.5, 126.6, 500.0, -500.0, math.inf, -math.inf])
    codes = encode(values, FORMATS["int8"])
    assert codes.tolist() == [0, 2, 2, 0, 127, 127, -127, 127, -127]
    with pytest.raises(ValueError, match="int8 has no nan"):
        encode(torch.tensor([math.nan]), FORMATS["int8"])


def test_int8_has_a_step_of_its_own_for_each_slice_along_the_first_dimension() -> None:
    values = torch.tensor([[1.0, -2.54], [127.0, 0.0], [0.0, 0.0]])
    scale = int8_scale(values)
    assert scale.shape == (3, 1)
    assert scale.flatten().tolist() == pytest.approx([0.02, 1.0, 0.0])
    assert bool((scale > 0).all())
    assert int8_scale(torch.ones(2, 3, 4, 4)).shape == (2, 1, 1, 1)
