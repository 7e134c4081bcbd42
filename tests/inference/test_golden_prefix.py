"""Runs that begin at the first corrupted layer: the same bits, within a memory."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from resilience.inference.golden_prefix import SHARES, WORTH, Cut, GoldenPrefix, choose_cuts
from resilience.inference.graph import needed_at, segment
from resilience.inference.predict import predict

LARGE = 2**40


class Branches(nn.Module):
    """Branches, a residual, layers that write in place, and a parameter used as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.full((1, 16, 1, 1), 0.5))
        self.after = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(16, 8, 1), nn.ReLU(True))
        self.head = nn.Linear(8, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.stem(inputs)
        both = torch.cat([self.left(values).relu_(), self.right(values)], 1) * self.scale
        residual = self.after(both) + values
        return self.head(residual.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture
def network() -> fx.GraphModule:
    torch.manual_seed(0)
    return fx.symbolic_trace(Branches().eval().requires_grad_(False))


def batches(sizes: Sequence[int] = (4, 4, 2)) -> list[tuple[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(size, 3, 8, 8, generator=generator),) for size in sizes]


def kept_bytes(prefix: GoldenPrefix) -> int:
    return sum(
        tensor.nbytes
        for position, kept in prefix._kept.items()
        if position
        for batch in kept
        for tensor in batch
    )


LAYERS = ("stem.0", "left", "right", "after.1", "head")


@pytest.mark.parametrize("memory", [0, 20_000, 60_000, LARGE])
def test_bits_are_those_of_a_full_run(network: fx.GraphModule, memory: int) -> None:
    inputs = batches()
    prefix = GoldenPrefix(network, inputs, memory)
    originals = [batch.clone() for (batch,) in inputs]
    for _ in range(3):
        for layer in (*LAYERS, *reversed(LAYERS)):
            weight = network.get_submodule(layer).weight
            before = weight.clone()
            weight.view(-1)[:3] += 1
            expected = predict(network, inputs)
            logits = prefix.predict([weight])
            weight.copy_(before)
            assert torch.equal(logits, expected)
            assert kept_bytes(prefix) <= memory
    assert (kept_bytes(prefix) > 0) == (memory > 0)
    assert all(torch.equal(now, was) for (now,), was in zip(inputs, originals, strict=True))


def test_what_comes_before_the_first_corrupted_layer_does_not_run(network: fx.GraphModule) -> None:
    prefix = GoldenPrefix(network, batches(), LARGE)
    calls: list[str] = []
    for name in LAYERS:
        layer = network.get_submodule(name)
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))
    head, after = network.get_submodule("head").weight, network.get_submodule("after.1").weight
    prefix.predict([head])
    calls.clear()
    prefix.predict([head])
    assert calls == ["head"] * 3
    calls.clear()
    prefix.predict([head, after])
    assert calls.count("stem.0") == 3
    calls.clear()
    prefix.predict([head, after])
    assert calls == ["after.1", "head"] * 3


def test_a_run_that_fails_keeps_nothing(network: fx.GraphModule) -> None:
    prefix = GoldenPrefix(network, batches(), LARGE)
    head = network.get_submodule("head")
    handle = head.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prefix.predict([head.weight])
    handle.remove()
    assert list(prefix._kept) == [0]
    assert torch.equal(prefix.predict([head.weight]), predict(network, batches()))


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5", "googlenet", "vit_b_32"])
def test_every_part_of_a_real_network_gives_what_the_whole_gives(name: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "googlenet": {"init_weights": False},
        "vit_b_32": {"image_size": 32},
    }
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, **own.get(name, {}))
    traced = fx.symbolic_trace(network.eval().requires_grad_(False))
    nodes = list(traced.graph.nodes)
    batch = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = traced(batch)
        for position in range(1, len(nodes) - 1, max(1, len(nodes) // 12)):
            reached = segment(traced, 0, position)(batch)
            assert len(reached) == len(needed_at(nodes, position))
            if all(isinstance(value, Tensor) for value in reached):
                assert torch.equal(segment(traced, position)(*reached), expected)


def saving(chosen: Collection[int], asked: dict[int, int], cuts: dict[int, Cut]) -> float:
    """What all runs are spared, less what cuts must save to be worth keeping."""
    spared = sum(
        runs * max((cuts[cut].saves for cut in chosen if cut <= position), default=0)
        for position, runs in asked.items()
    )
    served = sum(runs for cut in chosen for position, runs in asked.items() if position >= cut)
    return spared - WORTH * served


@given(
    asked=st.dictionaries(st.integers(0, 7), st.integers(1, 5), min_size=1),
    saves=st.lists(st.integers(0, 100), min_size=8, max_size=8),
    sizes=st.lists(st.none() | st.integers(1, SHARES), min_size=8, max_size=8),
)
def test_no_other_choice_saves_more(
    asked: dict[int, int], saves: list[int], sizes: list[int | None]
) -> None:
    cuts = {
        position: Cut(part / 100, size)
        for position, part, size in zip(range(8), sorted(saves), sizes, strict=True)
    }
    chosen = choose_cuts(asked, cuts, SHARES)
    possible = [position for position in asked if cuts[position].size]
    fitting = [
        choice
        for number in range(len(possible) + 1)
        for choice in itertools.combinations(possible, number)
        if sum(cuts[position].size or 0 for position in choice) <= SHARES
    ]
    assert tuple(sorted(chosen)) in {tuple(sorted(choice)) for choice in fitting}
    best = max(saving(choice, asked, cuts) for choice in fitting)
    assert saving(chosen, asked, cuts) == pytest.approx(best)


def test_without_memory_nothing_is_kept() -> None:
    assert choose_cuts({1: 1}, {1: Cut(0.5, 1)}, 0) == set()
