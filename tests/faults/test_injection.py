"""The laws of striking and restoring."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from resilience.faults.injection import (
    Patch,
    RestorationError,
    bit_sums,
    check_restored,
    patched,
)
from resilience.faults.memory import Memory, raw_bits
from resilience.faults.perturbations import Random
from resilience.faults.population.sites import Uniform
from resilience.faults.population.tracing import find_layers
from resilience.faults.sampling import sample
from tests.conftest import SmallNetwork

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
