"""The laws of striking and restoring."""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import resilience as rs
from resilience.faults.injection import (
    Patch,
    RestorationError,
    bit_sums,
    check_restored,
    patched,
)
from resilience.faults.memory import Memory, raw_bits
from resilience.faults.perturbations import Random
from resilience.faults.population.layers import PARTS, TRANSIENT_PARTS, Part
from resilience.faults.population.sites import Duration, Uniform
from resilience.faults.population.tracing import find_layers
from resilience.faults.sampling import sample
from resilience.number_formats import FORMATS
from tests.conftest import SmallNetwork
from tests.faulty import Everything, everything

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def network_in(layout: torch.memory_format) -> SmallNetwork:
    torch.manual_seed(0)
    return SmallNetwork().eval().requires_grad_(False).to(memory_format=layout)


def all_bytes(network: nn.Module) -> str:
    content = hashlib.sha256()
    for tensor in network.state_dict().values():
        content.update(tensor.contiguous().numpy().tobytes())
    return content.hexdigest()


def patches_on(network: nn.Module, count: int, seed: int) -> tuple[Patch, ...]:
    found = find_layers(network, torch.zeros(1, 3, 8, 8))
    population, rng = Uniform().population(found), np.random.default_rng(seed)
    drawn = sample(Memory(found), population, count, Uniform(), Random(), rng)
    return tuple(
        Patch(faults.layer, faults.index, faults.before, faults.after) for faults in drawn.stored
    )


def weights_of(network: nn.Module, fault: Patch) -> Tensor:
    return network.get_submodule(fault.tensor).weight.contiguous().reshape(-1)  # type: ignore


@pytest.mark.parametrize("layout", LAYOUTS)
@given(count=st.integers(0, 3_000), seed=st.integers(0, 2**32))
def test_faults_strike_their_sites_only_and_everything_is_put_back(
    layout: torch.memory_format, count: int, seed: int
) -> None:
    network = network_in(layout)
    before = all_bytes(network)
    untouched = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    faults = patches_on(network, count, seed)
    assert sum(len(fault.index) for fault in faults) == count
    sums = bit_sums(network, faults)
    with patched(network, faults):
        for fault in faults:
            now, then = weights_of(network, fault), untouched[f"{fault.tensor}.weight"].reshape(-1)
            assert torch.equal(now[fault.index], fault.after)
            assert torch.equal(then[fault.index], fault.before)
            assert int((now != then).sum()) == int((fault.after != fault.before).sum())
        struck = {f"{fault.tensor}.weight" for fault in faults}
        for name, tensor in network.state_dict().items():
            assert name in struck or torch.equal(tensor, untouched[name])
    assert all_bytes(network) == before
    check_restored(network, faults, sums)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_everything_is_put_back_after_an_exception(
    layout: torch.memory_format, stop: type[BaseException]
) -> None:
    network = network_in(layout)
    before = all_bytes(network)
    with pytest.raises(stop), patched(network, patches_on(network, 500, 0)):
        assert all_bytes(network) != before
        raise stop


def test_everything_is_put_back_when_striking_itself_fails() -> None:
    network = network_in(torch.contiguous_format)
    before = all_bytes(network)
    good = patches_on(network, 500, 0)
    bad = Patch("head", good[-1].index[:1], good[-1].before[:1], torch.zeros(2))
    with pytest.raises(RuntimeError), patched(network, [*good, bad]):
        pytest.fail("must not be reached")
    assert all_bytes(network) == before


def test_payloads_of_nan_and_signs_of_zero_survive() -> None:
    network = network_in(torch.channels_last)
    weight = network.head.weight
    odd = torch.tensor([0x7FC12345, -0x80000000, 0x7F812345], dtype=torch.int32)
    weight.view(-1)[:3] = odd.view(torch.float32)
    fault = Patch("head", torch.tensor([0, 1, 2]), weight.view(-1)[:3].clone(), torch.ones(3))
    sums = bit_sums(network, [fault])
    with patched(network, [fault]):
        assert torch.equal(weight.view(-1)[:3], torch.ones(3))
    check_restored(network, [fault], sums)
    assert torch.equal(raw_bits(weight.view(-1)[:3]), odd)


def test_the_proof_notices_a_struck_weight_that_stays() -> None:
    network = network_in(torch.contiguous_format)
    faults = patches_on(network, 10, 0)
    sums = bit_sums(network, faults)
    network.get_submodule(faults[0].tensor).weight.view(-1)[faults[0].index[0]] += 1  # type: ignore
    with pytest.raises(RestorationError, match="were not restored"):
        check_restored(network, faults, sums)


def test_the_proof_notices_a_change_beside_the_struck_weights() -> None:
    network = network_in(torch.contiguous_format)
    faults = patches_on(network, 10, 0)
    fault = faults[-1]
    sums = bit_sums(network, faults)
    weight = network.get_submodule(fault.tensor).weight.view(-1)  # type: ignore[operator, union-attr]
    beside = next(i for i in range(len(weight)) if i not in fault.index)
    weight[beside] += 1
    with pytest.raises(RestorationError, match="changed that no fault struck"):
        check_restored(network, faults, sums)


def test_a_perturbation_must_give_a_value_for_each_fault() -> None:
    network = network_in(torch.contiguous_format)
    found = find_layers(network, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="gave values of shape"):
        sample(
            Memory(found),
            Uniform().population(found),
            10,
            Uniform(),
            lambda values, rng: torch.zeros(1_000),
            np.random.default_rng(0),
        )


IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(2))
BATCHES = IMAGES.split([5, 3])
CASES = [
    (part, duration)
    for part in PARTS
    for duration in (get_args(Duration) if part in TRANSIENT_PARTS else ("permanent",))
]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def drawn(network: nn.Module, part: Any, format: str = "float32", **options: Any) -> rs.Draw:
    """Faults that `draw_faults` draws on a network for these images."""
    how: dict[str, Any] = {"count": 3, "perturb": rs.perturbations.BitFlip(), **options}
    sites = rs.sites.Uniform(part=part, duration=how.pop("duration", "permanent"))
    return rs.draw_faults(rs.find_layers(network, IMAGES), sites=sites, format=format, **how)


def logits_of(network: nn.Module) -> Tensor:
    """Logits of all images, which come in batches."""
    with torch.no_grad():
        return torch.cat([network(batch) for batch in BATCHES])


def plain_logits(network: nn.Module, draw: rs.Draw) -> Tensor:
    """What a copy of the network gives with a draw that was observed, in the plainest way.

    Memory is rounded tensor by tensor, faults are written into it, and hooks of torch's own round
    and strike what passes through.
    """
    network, format = copy.deepcopy(network).eval(), draw.format.name
    state, weights = network.state_dict(), ("stem", "conv", "down", "head", "attention.out_proj")
    steps = {}
    for name, tensor in state.items():
        layer = name.removesuffix(".weight")
        if format == "int8" and layer in (*weights, "attention.in_proj_weight"):
            steps[layer] = step_of(tensor)
            tensor.copy_(quantised(tensor, steps[layer]))
        elif format != "int8" and tensor.is_floating_point():
            tensor.copy_(tensor.to(DTYPES[format]).float())
    for faults in draw.stored:
        name = faults.layer if faults.layer in state else f"{faults.layer}.weight"
        after = faults.after.float()
        if faults.layer in steps:
            rows = faults.index // state[name][0].numel()
            after = after * steps[faults.layer].flatten()[rows]
        flat = state[name].flatten()
        flat[faults.index] = after
        state[name].copy_(flat.reshape(state[name].shape))
    passing = [layer for layer in draw.exposed if layer.part in TRANSIENT_PARTS]
    struck = {faults.layer: faults for faults in draw.faults if faults.image is not None}
    images = range(0)

    def held(name: str, values: Tensor) -> Tensor:
        """What passes through, images first, as the format holds it and struck."""
        rows = values.flatten(1).clone()
        step = step_of(rows.where(rows.isfinite(), 0))
        if format == "int8":  # which has neither infinities nor NaN
            rows = quantised(rows.where(~rows.isnan(), 0), step)
        else:
            rows = rows.to(DTYPES[format]).float()
        if name in struck:
            faults = struck[name]
            assert faults.image is not None
            now = (faults.image >= images.start) & (faults.image < images.stop)
            row, after = faults.image[now] - images.start, faults.after[now].float()
            rows[row, faults.index[now]] = after * step[row, 0] if format == "int8" else after
        return rows.reshape(values.shape)

    logits = []
    with ExitStack() as stack, torch.no_grad():
        for layer in passing:
            if layer.part == "inputs":
                continue
            attention = layer.owner == "attention.out_proj"
            module = network.get_submodule("attention" if attention else layer.owner)

            def hook(_: nn.Module, __: Any, output: Any, name: str = layer.name) -> Any:
                whole = type(output) is tuple
                return (held(name, output[0]), None) if whole else held(name, output)

            stack.enter_context(module.register_forward_hook(hook))
        if passing:  # the fast path of attention gives other last digits, and no hook sees inside
            stack.callback(
                torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled()
            )
            torch.backends.mha.set_fastpath_enabled(False)
        for batch in BATCHES:
            images = range(images.stop, images.stop + len(batch))
            inputs = held("input", batch) if "input" in {each.name for each in passing} else batch
            logits.append(network(inputs))
    return torch.cat(logits)


def step_of(values: Tensor) -> Tensor:
    """Value of one step of int8 for each slice along the first dimension."""
    largest = (values.flatten(1).abs().amax(1) / 127).clamp_min(2**-126)
    return largest.reshape(-1, *[1] * (values.dim() - 1))


def quantised(values: Tensor, step: Tensor) -> Tensor:
    return (values / step).round().clamp(-127, 127) * step


@contextmanager
def nothing_changes(network: nn.Module) -> Iterator[None]:
    """Everything that a caller can see is afterwards what it was, bit for bit."""
    before = everything_of(network)
    random = torch.get_rng_state()
    try:
        yield
    finally:
        assert torch.equal(torch.get_rng_state(), random)
        for name, value in everything_of(network).items():
            assert value == before[name], name


def everything_of(network: nn.Module) -> dict[str, Any]:
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {
        "bits": {name: tensor.detach().numpy().tobytes() for name, tensor in tensors.items()},
        "places": {name: (id(tensor), tensor.data_ptr()) for name, tensor in tensors.items()},
        "gradients": {name: (t.requires_grad, t.grad) for name, t in tensors.items()},
        "modes": {name: module.training for name, module in network.named_modules()},
        "hooks": {
            name: {key: len(of) for key, of in vars(module).items() if key.endswith("_hooks")}
            for name, module in network.named_modules()
        },
        "methods": {name: set(vars(module)) for name, module in network.named_modules()},
        "threads": torch.get_num_threads(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "function modes": len(torch.overrides._get_current_function_mode_stack()),
        "gradients enabled": torch.is_grad_enabled(),
    }


def assert_equal(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("part", "duration"), CASES)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 40),
    perturb=st.sampled_from(
        [rs.perturbations.BitFlip(), rs.perturbations.Gaussian(2.0, True), rs.perturbations.Sign()]
    ),
)
def test_outputs_with_faults_are_those_of_a_plain_computation(
    format: str, part: Part, duration: Duration, seed: int, count: int, perturb: Any
) -> None:
    network = everything()
    with nothing_changes(network):
        draw = drawn(
            network, part, format, duration=duration, seed=seed, count=count, perturb=perturb
        )
        with rs.injected(network, draw):
            logits = logits_of(network)
    assert_equal(logits, plain_logits(network, draw))
    with rs.injected(network, draw):
        assert_equal(logits_of(network), logits)


@pytest.mark.parametrize("format", FORMATS)
def test_faults_in_all_parts_at_once_are_those_of_a_plain_computation(format: str) -> None:
    network = everything()
    with nothing_changes(network):
        draw = drawn(network, PARTS, format, count=600, perturb=rs.perturbations.Gaussian(1.0))
        with rs.injected(network, draw):
            logits = logits_of(network)
    assert {faults.part for faults in draw.faults} == set(PARTS)
    assert_equal(logits, plain_logits(network, draw))
    assert not torch.equal(logits, logits_of(network))


class Restless(Everything):
    """It draws numbers, counts its images and moves statistics, in any mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen += len(inputs)
        return super().forward(self.drop(inputs) + 0.1 * torch.rand_like(inputs))


def restless() -> Restless:
    """In training mode, but for one normalisation."""
    torch.manual_seed(0)
    network = Restless()
    network.norm1.eval()
    return network


@pytest.mark.parametrize("stop", [None, RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("part", "duration"), CASES)
def test_everything_is_what_it_was_however_the_block_ends(
    part: Part, duration: Duration, format: str, stop: type[BaseException] | None
) -> None:
    network = restless()
    with nothing_changes(network):
        draw = drawn(network, part, format, duration=duration)
    with nothing_changes(network), ExitStack() as expected:
        if stop:
            expected.enter_context(pytest.raises(stop))
        with rs.injected(network, draw):
            network.train()
            logits_of(network)
            network.eval()
            if stop:
                raise stop
    assert not torch.equal(logits_of(network), logits_of(network))  # it is restless indeed


def test_everything_is_what_it_was_when_the_network_itself_fails() -> None:
    network, draws = everything(), []
    for part in PARTS:
        draws.append(drawn(network, part, "bfloat16"))
    for draw in draws:
        failing = pytest.raises((RuntimeError, rs.UserError))
        with nothing_changes(network), failing, rs.injected(network, draw):
            network(IMAGES[:, :2])


def test_faults_are_injected_into_copies_on_their_own() -> None:
    network = everything()
    other = copy.deepcopy(network)
    draw = drawn(network, ("weights", "activations"))
    with rs.injected(other, draw), nothing_changes(network):
        logits = logits_of(other)
        assert_equal(logits_of(network), logits_of(everything()))
    assert_equal(logits, plain_logits(network, draw))


@pytest.mark.parametrize("format", FORMATS)
def test_two_draws_at_once_strike_together(format: str) -> None:
    network = everything()
    zero = {"perturb": rs.perturbations.Zero(), "count": 20}
    one, other = (drawn(network, "weights", format, seed=seed, **zero) for seed in (1, 2))
    with nothing_changes(network), rs.injected(network, one), rs.injected(network, other):
        zeros = sum(int((tensor == 0).sum()) for tensor in network.state_dict().values())
        expected = {(faults.layer, i) for d in (one, other) for faults in d.stored
                    for i in faults.index.tolist()}  # fmt: skip
        assert zeros >= len(expected)


@pytest.mark.parametrize("other", [SmallNetwork(), Everything(num_classes=7)])
def test_a_network_that_faults_do_not_fit_is_refused_untouched(other: nn.Module) -> None:
    draw = drawn(everything(), ("weights", "biases"))
    with (
        nothing_changes(other),
        pytest.raises(rs.UserError, match="this network"),
        rs.injected(other, draw),
    ):
        pytest.fail("must not be reached")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("part", "duration"), CASES)
def test_drawing_changes_nothing(part: Part, duration: Duration, format: str) -> None:
    for network in (everything(), restless()):
        with nothing_changes(network):
            one, again = (
                drawn(network, part, format, duration=duration, perturb=perturb, seed=5)
                for perturb in (rs.perturbations.Gaussian(1.0, relative=True),) * 2
            )
        for faults, same in zip(one.stored, again.stored, strict=True):
            assert torch.equal(faults.index, same.index)
            assert torch.equal(raw_bits(faults.after), raw_bits(same.after))


def test_finding_layers_in_training_mode_changes_nothing() -> None:
    network = restless()
    with nothing_changes(network):
        found = rs.find_layers(network, IMAGES)
    assert found.layers == rs.find_layers(everything(), IMAGES).layers
    for name, tensor in found.tensors.items():
        (own,) = (t for n, t in network.state_dict().items() if n.removesuffix(".weight") == name)
        assert tensor.data_ptr() == own.data_ptr()
        assert not tensor.requires_grad


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", ["weights", "biases", "activations", "inputs"])
def test_one_linear_layer_is_a_network(part: Part, format: str) -> None:
    torch.manual_seed(0)
    network, inputs = nn.Linear(6, 4), torch.randn(5, 6)
    found = rs.find_layers(network, inputs)
    assert [(layer.name, layer.owner, layer.part) for layer in found] == [
        ("weight", "weight", "weights"),
        ("bias", "weight", "biases"),
        ("weight.output", "weight", "activations"),
        ("input", "input", "inputs"),
    ]
    zero = rs.perturbations.Zero()
    sites = rs.sites.Uniform(part=part, targets=None if part == "inputs" else "weight")
    draw = rs.draw_faults(found, count=3, perturb=zero, sites=sites, format=format)
    with nothing_changes(network), torch.no_grad(), rs.injected(network, draw):
        logits = network(inputs)
        if part in ("weights", "biases"):
            tensor = network.weight if part == "weights" else network.bias
            assert int((tensor == 0).sum()) >= 3
    (faults,) = draw.faults
    assert faults.part == part
    if part == "activations":
        assert bool((logits[faults.image, faults.index] == 0).all())
    elif part == "inputs":
        struck = inputs.clone()
        struck[faults.image, faults.index] = 0
        near = {"int8": 0.05, "bfloat16": 0.05, "float16": 0.01}.get(format, 0)
        with torch.no_grad():
            torch.testing.assert_close(logits, network(struck), rtol=near, atol=near)
