"""The population of weights, and the laws of sampling from it."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from resilience.faults.fault_plan import fault_count
from resilience.faults.population.layers import PARTS, Layer, Population, Structure, Targets
from resilience.faults.population.sites import Layerwise, Paper, Sites, Uniform
from resilience.faults.population.tracing import used_layers as _used_layers
from tests.faulty import everything


def used_layers(name: str, side: int) -> tuple[Layer, ...]:
    extra = {"init_weights": False} if name == "inception_v3" else {}
    network = torchvision.models.get_model(name, weights=None, **extra).eval()
    return weights(network, torch.zeros(1, 3, side, side))


def weights(network: nn.Module, example: torch.Tensor) -> tuple[Layer, ...]:
    return tuple(layer for layer in _used_layers(network, example) if layer.part == "weights")


def convolutions(layers: tuple[Layer, ...]) -> int:
    return sum(layer.size for layer in layers if layer.kind == "convolution")


# Weights of the architectures by hand, from their publications' tables.

VGG19_CHANNELS = [3, *[64] * 2, *[128] * 2, *[256] * 4, *[512] * 8]
VGG19_CONVOLUTIONS = sum(9 * i * o for i, o in itertools.pairwise(VGG19_CHANNELS))
VGG19_LINEAR = 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000


def resnet50_convolutions() -> int:
    total, inputs = 3 * 64 * 7 * 7, 64
    for blocks, width in [(3, 64), (4, 128), (6, 256), (3, 512)]:
        total += inputs * 4 * width  # the shortcut of the first block
        for _ in range(blocks):
            total += inputs * width + 9 * width * width + width * 4 * width
            inputs = 4 * width
    return total


def inception_v3_convolutions() -> int:
    stem = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 64 * 80 + 9 * 80 * 192
    total = stem
    for inputs, pool in [(192, 32), (256, 64), (288, 64)]:  # 35 x 35
        total += inputs * 64
        total += inputs * 48 + 25 * 48 * 64
        total += inputs * 64 + 9 * 64 * 96 + 9 * 96 * 96
        total += inputs * pool
    total += 9 * 288 * 384 + 288 * 64 + 9 * 64 * 96 + 9 * 96 * 96  # to 17 x 17
    for seven in [128, 160, 160, 192]:  # 17 x 17
        total += 768 * 192
        total += 768 * seven + 7 * seven * seven + 7 * seven * 192
        total += 768 * seven + 7 * seven * seven * 3 + 7 * seven * 192
        total += 768 * 192
    total += 768 * 192 + 9 * 192 * 320  # to 8 x 8
    total += 768 * 192 + 7 * 192 * 192 * 2 + 9 * 192 * 192
    for inputs in [1280, 2048]:  # 8 x 8
        total += inputs * 320
        total += inputs * 384 + 2 * 3 * 384 * 384
        total += inputs * 448 + 9 * 448 * 384 + 2 * 3 * 384 * 384
        total += inputs * 192
    return total


VIT_B_16 = 3 * 768 * 16 * 16 + 12 * (4 * 768**2 + 2 * 768 * 3072) + 768 * 1000
SWIN_T = (
    3 * 96 * 4 * 4
    + sum(
        blocks * 12 * width**2 for blocks, width in [(2, 96), (2, 192), (6, 384), (2, 768)]
    )  # four width x width for attention, eight for its two linear layers
    + sum(4 * width * 2 * width for width in [96, 192, 384])  # merging patches
    + 768 * 1000
)


@pytest.mark.parametrize(
    ("name", "side", "conv", "everything"),
    [
        ("vgg19", 32, VGG19_CONVOLUTIONS, VGG19_CONVOLUTIONS + VGG19_LINEAR),
        ("resnet50", 32, resnet50_convolutions(), resnet50_convolutions() + 2048 * 1000),
        (
            "inception_v3",
            75,
            inception_v3_convolutions(),
            inception_v3_convolutions() + 2048 * 1000,
        ),
        ("vit_b_16", 224, 3 * 768 * 16 * 16, VIT_B_16),
        ("swin_t", 64, 3 * 96 * 4 * 4, SWIN_T),
    ],
)
def test_population_has_every_weight_that_is_used(
    name: str, side: int, conv: int, everything: int
) -> None:
    layers = used_layers(name, side)
    assert convolutions(layers) == conv
    assert sum(layer.size for layer in layers) == everything
    assert len({layer.name for layer in layers}) == len(layers)


def test_attention_projections_are_named_as_the_network_stores_them() -> None:
    names = {layer.name: layer.kind for layer in used_layers("vit_b_16", 224)}
    prefix = "encoder.layers.encoder_layer_0.self_attention"
    assert names[f"{prefix}.in_proj_weight"] == "attention"
    assert names[f"{prefix}.out_proj"] == "attention"


def test_recording_leaves_the_attention_fast_path_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    _used_layers(nn.Conv2d(3, 1, 1), torch.zeros(1, 3, 4, 4))
    assert torch.backends.mha.get_fastpath_enabled() is before


def test_tied_weights_count_once_and_unused_ones_not_at_all() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.unused = nn.Linear(4, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(inputs))  # type: ignore[no-any-return]

    assert weights(Tied(), torch.zeros(1, 4)) == (Layer("first", "linear", (4, 4)),)


def test_weights_that_are_computed_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"linear layer uses a weight of shape .* that is not a parameter"
    ):
        _used_layers(weight_norm(nn.Linear(4, 4)), torch.zeros(1, 4))


sizes = st.lists(st.integers(1, 60), min_size=3, max_size=8)
ALL_SITES = [Paper(), Layerwise(), Uniform()]


def population_of(layer_sizes: list[int]) -> Population:
    return Population(
        tuple(Layer(f"layer{i}", "convolution", (size,)) for i, size in enumerate(layer_sizes))
    )


@pytest.mark.parametrize("sites", ALL_SITES)
@given(sizes=sizes, share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_faults_are_exactly_as_many_distinct_and_inside(
    sites: Sites, sizes: list[int], share: float, seed: int
) -> None:
    population = population_of(sizes)
    count = round(share * population.size)
    drawn = sites.draw(population, count, np.random.default_rng(seed))
    assert sum(map(len, drawn)) == count
    assert len(drawn) == len(sizes)
    for indices, size in zip(drawn, sizes, strict=True):
        assert len(np.unique(indices)) == len(indices)
        assert (np.diff(indices) > 0).all()
        assert ((indices >= 0) & (indices < size)).all()


@pytest.mark.parametrize("sites", [Paper(), Layerwise()])
def test_layers_are_drawn_evenly(sites: Sites) -> None:
    population = population_of([100_000, 200_000, 400_000, 800_000])
    drawn = sites.draw(population, 40_000, np.random.default_rng(0))
    assert chisquare([len(indices) for indices in drawn]).pvalue > 0.01


def test_weights_are_drawn_evenly() -> None:
    population = population_of([100_000, 200_000, 400_000, 800_000])
    drawn = Uniform().draw(population, 40_000, np.random.default_rng(0))
    expected = 40_000 * population.sizes / population.size
    assert chisquare([len(indices) for indices in drawn], expected).pvalue > 0.01


@pytest.mark.parametrize("sites", ALL_SITES)
def test_positions_within_a_layer_are_drawn_evenly(sites: Sites) -> None:
    population = population_of([100_000] * 3)
    drawn = np.concatenate(sites.draw(population, 30_000, np.random.default_rng(1)))
    assert chisquare(np.bincount(drawn // 1_000, minlength=100)).pvalue > 0.01


def test_what_does_not_fit_into_a_layer_goes_evenly_to_the_others() -> None:
    population = population_of([10, 100_000, 100_000, 100_000])
    drawn = Paper().draw(population, 30_000, np.random.default_rng(2))
    assert drawn[0].tolist() == list(range(10))
    assert chisquare([len(indices) for indices in drawn[1:]]).pvalue > 0.01


def test_paper_draws_among_convolutions_only() -> None:
    layers = used_layers("resnet50", 32)
    assert {layer.kind for layer in Paper().population(Population(layers)).layers} == {
        "convolution"
    }
    assert {layer.kind for layer in Uniform().population(Population(layers)).layers} == {
        "convolution",
        "linear",
    }


def test_paper_refuses_networks_with_few_convolutions_and_names_the_others() -> None:
    with pytest.raises(
        ValueError, match="this network has 1: use sites=layerwise or sites=uniform"
    ):
        Paper().population(Population(used_layers("vit_b_16", 224)))


@given(frate=st.floats(0, 1), size=st.integers(1, 10**9))
def test_count_is_pythons_rounding_of_rate_times_population(frate: float, size: int) -> None:
    population = Population((Layer("only", "linear", (size,)),))
    if frate > 0 and round(frate * size) == 0:
        with pytest.raises(ValueError, match="gives no fault"):
            fault_count(frate, population)
    else:
        assert fault_count(frate, population) == round(frate * size)


@pytest.mark.parametrize("frate", [-1e-9, 1.1, float("nan"), float("inf")])
def test_rates_outside_the_unit_interval_are_refused(frate: float) -> None:
    with pytest.raises(ValueError, match=r"frate must lie in \[0, 1\]"):
        fault_count(frate, population_of([10]))


@given(size=st.integers(1, 10**12))
def test_the_rate_that_is_proposed_gives_one_fault(size: int) -> None:
    population = Population((Layer("only", "linear", (size,)),))
    with pytest.raises(ValueError, match="gives no fault") as error:
        fault_count(0.4 / size, population)
    proposed = float(str(error.value).split("frate=")[2].split()[0])
    assert fault_count(proposed, population) == 1


LAYERS = (
    Layer("stem", "convolution", (10,)),
    Layer("layer1.0.conv1", "convolution", (20,)),
    Layer("layer1.1.conv1", "convolution", (20,)),
    Layer("attention.in_proj_weight", "attention", (30,)),
    Layer("linear", "convolution", (5,)),  # a name that is also a kind
    Layer("head", "linear", (40,)),
)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (None, [layer.name for layer in LAYERS]),
        ("head", ["head"]),
        ("layer1.*", ["layer1.0.conv1", "layer1.1.conv1"]),
        ("layer?.0.*", ["layer1.0.conv1"]),
        ("attention", ["attention.in_proj_weight"]),
        ("linear", ["linear"]),
        (["head", "stem", "stem"], ["stem", "head"]),
        (
            ["attention", "*.conv1"],
            ["layer1.0.conv1", "layer1.1.conv1", "attention.in_proj_weight"],
        ),
    ],
)
def test_targets_are_names_patterns_or_kinds(targets: Targets, expected: list[str]) -> None:
    for sites in (Layerwise(targets), Uniform(targets)):
        assert [layer.name for layer in sites.population(Population(LAYERS)).layers] == expected


def test_layers_that_are_called_by_numbers_can_be_targets() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1))
    layers = Population(_used_layers(network, torch.ones(1, 1, 2, 2)))
    every: list[Targets] = [1, [1], "1"]
    for targets in every:
        chosen = Uniform(targets, ("weights", "biases")).population(layers).layers
        assert [layer.name for layer in chosen] == ["1", "1.bias"]
    with pytest.raises(ValueError, match="names no layer"):
        Uniform([]).population(layers)


def test_faults_strike_targets_only() -> None:
    sites = Paper("layer1.*")
    population = sites.population(Population(LAYERS))
    assert population.size == 40
    struck = sites.draw(population, 7, np.random.default_rng(0))
    assert sum(map(len, struck)) == 7


@pytest.mark.parametrize("target", ["layer1.0.conv", "head.*", "convolutions"])
def test_a_target_that_matches_nothing_names_those_near(target: str) -> None:
    near = {"layer1.0.conv": "layer1.0.conv1", "head.*": "head", "convolutions": "convolution"}
    with pytest.raises(ValueError, match=rf"matches none of the 6 layers; near: .*{near[target]}"):
        Uniform(["stem", target]).population(Population(LAYERS))


BIASES = tuple(
    Layer(f"{layer.name}.bias", layer.kind, (8,), "biases") for layer in (LAYERS[0], LAYERS[-1])
)
NORMS = tuple(
    Layer(name, "normalisation", (8,), "norms")
    for name in ("bn", "bn.bias", "bn.running_mean", "bn.running_var")
)
OUTPUTS = (
    Layer("stem.output", "convolution", (8, 4, 4), "activations"),
    Layer("stem.output#2", "convolution", (8, 4, 4), "activations"),
    Layer("head.output", "linear", (10,), "activations"),
)
ALL_LAYERS = (*LAYERS, *BIASES, *NORMS, *OUTPUTS, Layer("input", "input", (3, 8, 8), "inputs"))


@pytest.mark.parametrize(
    ("part", "targets", "expected"),
    [
        ("biases", None, ["stem.bias", "head.bias"]),
        ("biases", "head", ["head.bias"]),
        ("biases", "linear", ["head.bias"]),
        ("norms", "bn", ["bn", "bn.bias", "bn.running_mean", "bn.running_var"]),
        ("norms", "*.running_*", ["bn.running_mean", "bn.running_var"]),
        ("activations", "stem", ["stem.output", "stem.output#2"]),
        ("activations", "convolution", ["stem.output", "stem.output#2"]),
        (("weights", "biases", "activations"), "head", ["head", "head.bias", "head.output"]),
        ("inputs", None, ["input"]),
    ],
)
def test_targets_name_a_layer_and_all_that_is_its_own(
    part: Any, targets: Targets, expected: list[str]
) -> None:
    chosen = Uniform(targets, part).population(Population(ALL_LAYERS)).layers
    assert [layer.name for layer in chosen] == expected


def test_a_part_that_a_network_has_not_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no layer that these sites draw from has norms; say another"
    ):
        Uniform(part="norms").population(Population(LAYERS))


WEIGHT = Layer("conv", "convolution", (5, 3, 2, 4))
LENGTHS = {"element": 1, "row": 4, "kernel": 8, "channel": 24, "tensor": 120, "burst": 7}


@pytest.mark.parametrize("structure", LENGTHS)
def test_structures_are_all_elements_once_in_runs_of_neighbours(structure: Structure) -> None:
    population = Uniform(structure=structure, burst=7).population(Population((WEIGHT,)))
    numbers = np.arange(population.size)
    assert population.elements(WEIGHT, numbers).tolist() == list(range(120))
    index = np.arange(120).reshape(WEIGHT.shape)
    whole = {
        "row": index[2, 1, 1],
        "kernel": index[2, 1],
        "channel": index[2],
        "tensor": index,
        "burst": np.arange(63, 70),
        "element": index[2, 1, 1, 1:2],
    }[structure].ravel()
    first = int(whole[0]) // LENGTHS[structure]
    assert population.elements(WEIGHT, np.array([first])).tolist() == whole.tolist()


def test_rates_speak_of_structures() -> None:
    population = Uniform(structure="channel").population(Population((WEIGHT,)))
    assert (population.size, fault_count(0.4, population)) == (5, 2)
    with pytest.raises(
        ValueError, match=r"of 5 channels of conv gives no fault; frate=0\.2 gives one"
    ):
        fault_count(0.01, population)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"part": "gradients"}, "sites.part must be one of weights, biases, .* got 'gradients'"),
        ({"structure": "plane"}, "sites.structure must be one of element, .* got 'plane'"),
        ({"duration": "short"}, "sites.duration must be one of permanent, transient, got 'short'"),
        ({"burst": 1}, "sites.burst must be 2 elements or more, a whole number, got 1"),
        ({"burst": 2.5}, "a whole number, got 2.5"),
        (
            {"duration": "transient"},
            "duration=transient applies to activations and inputs; .* weights are permanent",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Uniform(**options)


def test_every_tensor_that_a_pass_uses_is_found_with_its_part() -> None:
    layers = _used_layers(everything(), torch.zeros(1, 3, 8, 8))
    of_part = {part: [layer.name for layer in layers if layer.part == part] for part in PARTS}
    attention = ["attention.in_proj_weight", "attention.out_proj"]
    assert of_part == {
        "weights": ["stem", "conv", "down", *attention, "head"],
        "biases": [
            *("stem.bias", "down.bias", "attention.in_proj_bias", "attention.out_proj.bias"),
            "head.bias",
        ],
        "norms": [
            *("norm1", "norm1.bias", "norm1.running_mean", "norm1.running_var"),
            *("norm2", "norm2.bias", "norm3", "norm3.bias"),
        ],
        "activations": [
            *("stem.output", "conv.output", "down.output", "attention.out_proj.output"),
            "head.output",
        ],
        "inputs": ["input"],
    }
    shapes = {layer.name: layer.shape for layer in layers}
    assert shapes["conv.output"] == (8, 8, 8)
    assert shapes["attention.out_proj.output"] == (9, 16)
    assert shapes["input"] == (3, 8, 8)
