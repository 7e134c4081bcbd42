"""Faults in activations and images: where they strike, for how long, and nothing beside."""

import csv
import io
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from resilience.faults.activations import ActivationMemory
from resilience.faults.bit_perturbations import BitFlip
from resilience.faults.memory import Memory
from resilience.faults.perturbations import Constant, Gaussian, Random
from resilience.faults.population.layers import Layer, Population, Structure
from resilience.faults.population.sites import Duration, Layerwise, Uniform
from resilience.faults.population.tracing import find_layers
from resilience.faults.sampling import sample
from resilience.networks.spec import Model
from resilience.number_formats import FORMATS
from resilience.trials.workloads import Workloads
from tests.faulty import PREPROCESSING, everything, faulty_trial, run_trial

IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
EXAMPLE = IMAGES[:1]


def rows(faults_csv: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(faults_csv)))


def outputs_of(network: torch.nn.Module, name: str, images: Tensor) -> Tensor:
    """What a layer gives, by a hook of torch's own."""
    kept: list[Tensor] = []
    hook = network.get_submodule(name).register_forward_hook(lambda *given: kept.append(given[2]))
    network(images)
    hook.remove()
    return kept[0]


def with_outputs(network: torch.nn.Module, name: str, output: Tensor, images: Tensor) -> Tensor:
    """Logits when a layer gives something else, by a hook of torch's own."""
    hook = network.get_submodule(name).register_forward_hook(lambda *_: output)
    logits: Tensor = network(images)
    hook.remove()
    return logits


def run(network: torch.nn.Module, layers: tuple[Layer, ...], faults: Any, size: int) -> Any:
    owners = [layer.owner for layer in layers if layer.part == "activations"]
    names = {id(network.get_submodule(owner).weight): owner for owner in owners}
    batches = IMAGES.split(size)
    memory = ActivationMemory(layers, names, FORMATS["float32"], faults)
    step = memory.around(network, list(map(len, batches)))
    return torch.cat([step(batch) for batch in batches]), memory.observed()


@pytest.mark.parametrize("name", ["stem", "conv", "down", "head"])
@pytest.mark.parametrize("duration", ["permanent", "transient"])
def test_struck_outputs_are_those_that_a_plain_hook_writes(name: str, duration: Duration) -> None:
    network = everything()
    sites = Uniform(targets=name, part="activations", duration=duration)
    found = find_layers(network, EXAMPLE)
    population, rng = sites.population(found), np.random.default_rng(0)
    drawn = sample(Memory(found), population, 3, sites, Random(), rng, len(IMAGES))
    assert not drawn.stored
    logits, struck = run(network, population.layers, drawn.activations, 5)
    golden = outputs_of(network, name, IMAGES)
    expected = golden.clone().flatten(1)
    (faults,) = struck
    assert torch.allclose(faults.before, expected[faults.image, faults.index], atol=1e-6)
    expected[faults.image, faults.index] = faults.after
    whole = with_outputs(network, name, expected.reshape(golden.shape), IMAGES[:])
    assert torch.allclose(logits, whole, atol=1e-6)
    assert faults.image is not None
    assert np.bincount(faults.image.numpy()).tolist() == [3] * len(IMAGES)
    by_image = [set(faults.index[faults.image == image].tolist()) for image in range(len(IMAGES))]
    assert all(len(of_image) == 3 for of_image in by_image)
    assert (len(set(map(frozenset, by_image))) == 1) == (duration == "permanent")


def test_attention_is_struck_in_what_its_output_projection_gives() -> None:
    network = everything()
    (layer,) = Uniform("attention", "activations").population(find_layers(network, EXAMPLE)).layers
    assert (layer.name, layer.shape) == ("attention.out_proj.output", (9, 16))
    sites = Uniform(part="activations", targets="attention.out_proj")
    found = find_layers(network, EXAMPLE)
    population, rng = sites.population(found), np.random.default_rng(0)
    drawn = sample(Memory(found), population, 4, sites, Constant(50.0), rng, len(IMAGES))
    given: list[Tensor] = []
    with network.attention.register_forward_hook(lambda *now: given.append(now[2][0].clone())):
        network(IMAGES)
        _, (faults,) = run(network, (layer,), drawn.activations, len(IMAGES))
    golden, struck = given
    changed = ((golden - struck).abs() > 1).reshape(len(IMAGES), -1).nonzero()
    listed = torch.stack([faults.image, faults.index], 1)
    assert {tuple(site) for site in changed.tolist()} == {tuple(site) for site in listed.tolist()}


def test_images_are_struck_before_the_network_sees_them() -> None:
    network = everything()
    sites = Uniform(part="inputs", duration="transient")
    found = find_layers(network, EXAMPLE)
    population, rng = sites.population(found), np.random.default_rng(0)
    drawn = sample(Memory(found), population, 5, sites, Random(), rng, len(IMAGES))
    untouched = IMAGES.clone()
    logits, (faults,) = run(network, population.layers, drawn.activations, 5)
    assert torch.equal(IMAGES, untouched)
    expected = IMAGES.clone().flatten(1)
    expected[faults.image, faults.index] = faults.after
    assert torch.allclose(logits, network(expected.reshape(IMAGES.shape)), atol=1e-6)


SHAPES = {"row": 4, "kernel": 16, "channel": 16, "tensor": 128, "burst": 6}


@pytest.mark.parametrize("structure", SHAPES)
def test_structures_of_activations_are_neighbours(structure: Structure) -> None:
    sites = Uniform("down", "activations", structure, burst=6)
    layer = Layer("down.output", "convolution", (8, 4, 4), "activations")
    population = sites.population(Population((layer,)))
    length = SHAPES[structure]
    for number in range(population.size):
        elements = population.elements(layer, np.array([number])).tolist()
        assert elements == list(range(128))[number * length :][:length]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    duration=st.sampled_from(["permanent", "transient"]),
    format=st.sampled_from(["float32", "int8"]),
    perturb=st.sampled_from([BitFlip("any"), Gaussian(1.0, relative=True)]),
)
def test_faults_do_not_depend_on_the_batch_size(
    seed: int, duration: Duration, format: str, perturb: Any
) -> None:
    sites = Layerwise(part=("weights", "activations", "inputs"), duration=duration)
    found = []
    for batch_size in (7, 60):
        how = {"batch_size": batch_size, "format": format}
        trial = faulty_trial(sites, perturb, how, seed=seed, faults=5)
        result, faults_csv = run_trial(trial)
        struck = [
            (row["layer"], row["index"], row.get("image", ""), row.get("bits", ""))
            for row in rows(faults_csv)
        ]
        counts = {name: result.corrupted[name] for name in ("sdc_rate", "due_rate", "top1_error")}
        found.append((sorted(struck), counts))
    assert found[0] == found[1]


def test_lists_are_in_the_same_order_whatever_the_batch_size() -> None:
    def places(size: int) -> list[tuple[str, str, str]]:
        sites = Uniform(part="activations", duration="transient")
        trial = faulty_trial(sites, settings={"batch_size": size}, faults=1)
        rows = csv.DictReader(io.StringIO(run_trial(trial)[1]))
        return [(row["layer"], row["index"], row["image"]) for row in rows]

    assert places(1) == places(7) == places(60)


class Twice(nn.Module):
    """A network that uses one layer twice, on planes of two sizes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.between = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (images, classes)."""
        values = self.between(torch.relu(self.shared(inputs)))[..., ::2, ::2]
        logits: Tensor = self.head(self.shared(values).mean((2, 3)))
        return logits


def test_a_layer_that_is_used_twice_is_told_apart_wherever_runs_begin() -> None:
    model = Model("twice", Twice, "none", {"network": {}}, preprocessing=PREPROCESSING)

    def figures(memory: int) -> tuple[list[dict[str, Any]], str]:
        settings = {"prefix_memory": memory, "format": "int8"}
        trial = faulty_trial(
            Layerwise(part="activations"),
            Constant(3.0),
            settings,
            **{"model": model, "faults": 1, "draws": 8, "strata": "layer"},
        )
        result, text = run_trial(trial)
        return result.draws, text

    assert figures(2**30) == figures(0)


def test_permanent_faults_write_the_same_for_every_image() -> None:
    sites = Uniform(part="activations", targets=["stem", "down"])
    _, faults_csv = run_trial(faulty_trial(sites, Random(), faults=6))
    written = defaultdict(set)
    for row in rows(faults_csv):
        written[row["layer"], row["index"]].add(row["after_bits"])
    assert len(written) == 6
    assert all(len(values) == 1 for values in written.values())


def test_transient_faults_of_one_image_are_its_own_whatever_the_others_are() -> None:
    """The first images of a longer run have the faults that they have in a shorter one."""
    network = everything()
    sites = Uniform(part="activations", duration="transient")
    found = find_layers(network, EXAMPLE)
    population = sites.population(found)
    short, long = (
        sample(Memory(found), population, 9, sites, Random(), np.random.default_rng(3), n)
        for n in (4, 11)
    )
    for layer in population.layers:
        at = [
            next((p.sites for p in drawn.activations if p.layer == layer), None)
            for drawn in (short, long)
        ]
        for image in range(4):
            one, other = ([] if of is None else of(image).tolist() for of in at)
            assert one == other


def test_nothing_is_left_behind() -> None:
    trial = faulty_trial(Uniform(part=("activations", "inputs", "norms")), Constant(float("nan")))
    workloads = Workloads()
    workload = workloads.of(trial)
    golden = workload.golden
    result, _ = workloads.run(trial)
    assert result.corrupted["due_rate"] > 0
    workload.check_weights()
    assert torch.equal(workload.evaluate(workload.samples), golden)
    modules = list(workload.engine.network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_layer_that_does_not_give_images_first_is_refused() -> None:
    class Sequence(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(3, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            tokens = inputs.flatten(2).permute(2, 0, 1)  # places first
            return self.head(tokens).mean(0)  # type: ignore[no-any-return]

    network = Sequence()
    layers = Uniform(part="activations").population(find_layers(network, EXAMPLE)).layers
    with pytest.raises(ValueError, match=r"head.output has shape .* not one image after the other"):
        run(network, layers, [], 5)
