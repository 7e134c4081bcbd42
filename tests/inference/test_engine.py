"""The computing network: folded, cast or compiled, it takes the stored network's faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, fx, nn

from resilience.data.sources import ImageNet
from resilience.faults.draw import LayerFaults
from resilience.faults.injection import Patch, patched
from resilience.faults.memory import Memory
from resilience.faults.perturbations import Random, Zero
from resilience.faults.population.layers import layer_tensors
from resilience.faults.population.sites import Paper
from resilience.faults.population.tracing import find_layers
from resilience.faults.sampling import sample
from resilience.inference.engine import Engine
from resilience.inference.folding import ConvolutionNorm
from tests.conftest import SmallNetwork

FOLDED = {"vgg19": 0, "resnet50": 53, "inception_v3": 94}


class Normalised(nn.Module):
    """Convolutions with batch normalisation, some of which can't be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, bias=False)
        self.norm_one = nn.BatchNorm2d(4)
        self.two = nn.Conv2d(4, 4, 3, groups=2)
        self.norm_two = nn.BatchNorm2d(4)
        self.used_twice = nn.Conv2d(4, 4, 1)
        self.norm_twice = nn.BatchNorm2d(4)
        self.seen = nn.Conv2d(4, 4, 1)
        self.norm_seen = nn.BatchNorm2d(4, affine=False)
        self.tied = nn.Conv2d(4, 4, 1)
        self.norm_tied = nn.BatchNorm2d(4)
        self.tied_again = nn.Conv2d(4, 4, 1)
        self.tied_again.weight = self.tied.weight
        self.head = nn.Linear(4, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.norm_one(self.one(inputs)).relu_()
        values = self.norm_two(self.two(values)).relu()
        values = self.norm_twice(self.used_twice(values)) + self.used_twice(values)
        seen = self.seen(values)
        values = self.norm_seen(seen) + seen.relu()
        values = self.norm_tied(self.tied(values)) + self.tied_again(values)
        return self.head(values.mean((2, 3)))  # type: ignore[no-any-return]


def with_statistics(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network ready for evaluation, with statistics that change what it computes."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.3, 3, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, -1.5, 1.5, generator=generator)
                nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.fixture
def normalised() -> nn.Module:
    torch.manual_seed(0)
    return with_statistics(Normalised())


def inputs(images: int = 4, side: int = 8) -> Tensor:
    return torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(1))


def fault(network: nn.Module, layer: str, index: list[int], after: list[float]) -> LayerFaults:
    at = torch.tensor(index)
    before = layer_tensors(network)[layer].detach().reshape(-1)[at]
    return LayerFaults(layer, at, before, torch.tensor(after))


def drawn(network: nn.Module, perturb: Any, count: int, side: int = 8, seed: int = 0) -> Any:
    found = find_layers(network, inputs(1, side))
    population, rng = Paper().population(found), np.random.default_rng(seed)
    return sample(Memory(found), population, count, Paper(), perturb, rng).stored


def patches(faults: Any) -> list[Patch]:
    """The same faults, as what is written into the stored network."""
    return [Patch(each.layer, each.index, each.before, each.after) for each in faults]


@torch.no_grad()
def plain(network: nn.Module, faults: Any, batch: Tensor) -> Tensor:
    """What the stored network gives with faults, struck in the plainest way."""
    with patched(network, patches(faults)):
        return network(batch)  # type: ignore[no-any-return]


def test_pairs_are_folded_that_can_be(normalised: nn.Module) -> None:
    engine = Engine(normalised, inputs(1))
    folded = {name for name, m in engine.network.named_modules() if isinstance(m, ConvolutionNorm)}
    assert folded == {"one", "two"}
    batch = inputs()
    torch.testing.assert_close(engine.run(batch), normalised(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_struck_engine_is_the_engine_of_the_struck_network(
    normalised: nn.Module, seed: int
) -> None:
    faults = drawn(normalised, Random(), 30, seed=seed)
    engine = Engine(normalised, inputs(1))
    with engine.corrupted(faults):
        struck = {name: tensor.clone() for name, tensor in engine.network.state_dict().items()}
    with patched(normalised, patches(faults)):
        other = Engine(normalised, inputs(1)).network.state_dict()
        # The stored halves of folded pairs are not struck: they do not compute.
        names = {name for name in other if ".convolution." not in name}
        assert all(torch.equal(struck[name], other[name]) for name in names)
    assert names != set(other)


@pytest.mark.parametrize("perturb", [Zero(), Random()])
def test_logits_are_those_of_the_stored_network(normalised: nn.Module, perturb: Any) -> None:
    batch = inputs(16)
    faults = drawn(normalised, perturb, 40)
    engine = Engine(normalised, inputs(1))
    with engine.corrupted(faults):
        logits = engine.run(batch)
    expected = plain(normalised, faults, batch)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits, normalised(batch))


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan, 3e38, -3e38, 1e20, 1e10])
def test_values_that_folding_would_change_are_computed_apart(
    normalised: nn.Module, value: float
) -> None:
    batch = inputs(16) * 1e-12
    normalised.get_submodule("norm_one").weight[0] = 1e-3  # type: ignore[index,operator]
    normalised.get_submodule("norm_one").weight[1] = 0  # type: ignore[index,operator]
    engine = Engine(normalised, inputs(1))
    for index in (0, 27):  # of the first and of the second channel
        faults = [fault(normalised, "one", [index], [value])]
        with engine.corrupted(faults):
            logits = engine.run(batch)
        expected = plain(normalised, faults, batch)
        scale = expected.nan_to_num(0, 0, 0).abs().max().item()
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * scale, equal_nan=True)
    assert not any(getattr(module, "apart", False) for module in engine.network.modules())


def test_all_bits_are_back_afterwards_however_it_ends(normalised: nn.Module) -> None:
    engine = Engine(normalised, inputs(1))
    states = [network.state_dict() for network in (normalised, engine.network)]
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    faults = [*drawn(normalised, Random(), 40), fault(normalised, "one", [5], [torch.inf])]
    with pytest.raises(KeyboardInterrupt), engine.corrupted(faults):
        raise KeyboardInterrupt
    with engine.corrupted(faults):
        assert not torch.equal(
            engine.network.state_dict()["two.joint.weight"], before[1]["two.joint.weight"]
        )
    for state, was in zip(states, before, strict=True):
        assert all(torch.equal(tensor, was[name]) for name, tensor in state.items())
    assert not any(getattr(module, "apart", False) for module in engine.network.modules())


def test_tied_weights_are_struck_in_every_place(normalised: nn.Module) -> None:
    faults = [fault(normalised, "tied", [0, 3], [5.0, -5.0])]
    engine = Engine(normalised, inputs(1))
    with engine.corrupted(faults):
        logits = engine.run(inputs())
    expected = plain(normalised, faults, inputs())
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_arithmetic_computes_with_rounded_weights(
    normalised: nn.Module, precision: str, optimise: bool
) -> None:
    stored = {name: tensor.clone() for name, tensor in normalised.state_dict().items()}
    engine = Engine(normalised, inputs(1), precision, optimise)
    batch = inputs(16).to(engine.dtype)
    faults = drawn(normalised, Random(), 40)
    with engine.corrupted(faults):
        logits = engine.run(batch)
    expected = plain(normalised, faults, inputs(16))
    assert logits.dtype == engine.dtype
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.1)
    assert all(
        torch.equal(tensor, stored[name]) for name, tensor in normalised.state_dict().items()
    )


def test_without_optimising_the_stored_network_computes(normalised: nn.Module) -> None:
    engine = Engine(normalised, inputs(1), optimise=False)
    assert engine.network is normalised
    faults = drawn(normalised, Random(), 40)
    with engine.corrupted(faults):
        assert torch.equal(engine.run(inputs()), normalised(inputs()))
    assert not torch.equal(plain(normalised, faults, inputs()), normalised(inputs()))


class Branching(SmallNetwork):
    """A network whose path depends on its values."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs if inputs.sum() > 0 else -inputs)


class Changing(SmallNetwork):
    """A network that tracing changes, without an error."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs * (2 if isinstance(inputs, fx.Proxy) else 1))


@pytest.mark.parametrize("kind", [Branching, Changing])
def test_a_network_that_tracing_fails_on_or_changes_computes_as_it_is(
    kind: type[nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    network = kind().eval().requires_grad_(False)
    with caplog.at_level("INFO"):
        engine = Engine(network, inputs(1))
    assert engine.network is network
    assert "is not optimised" in caplog.text


@pytest.mark.slow
def test_a_compiled_network_sees_its_faults_and_is_compiled_once(normalised: nn.Module) -> None:
    engine = Engine(normalised, inputs(1), compile=True)
    batch = inputs()
    with torch.inference_mode():
        torch.testing.assert_close(engine.run(batch), normalised(batch), rtol=1e-4, atol=1e-4)
        with torch._dynamo.config.patch(error_on_recompile=True):
            for seed in range(2):
                faults = drawn(normalised, Random(), 40, seed=seed)
                with engine.corrupted(faults):
                    logits = engine.run(batch)
                expected = plain(normalised, faults, batch)
                torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
                assert not torch.allclose(logits, normalised(batch), rtol=1e-2)
            for value in (torch.nan, torch.inf, -torch.inf):  # which a fused ReLU may lose
                faults = [fault(normalised, "used_twice", [0], [value])]
                with engine.corrupted(faults):
                    logits = engine.run(batch)
                expected = plain(normalised, faults, batch)
                torch.testing.assert_close(logits, expected, equal_nan=True)
                assert not logits.isfinite().all()


@pytest.fixture(params=FOLDED)
def architecture(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """A network of the publication with fresh weights and statistics of its own."""
    torch.manual_seed(0)
    options = {} if request.param == "resnet50" else {"init_weights": False}
    with torch.device("meta"):  # torchvision's own fresh weights take seconds
        network = torchvision.models.get_model(request.param, weights=None, **options)
    network = network.to_empty(device="cpu")
    for parameter in network.parameters():
        spread = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.0
        nn.init.normal_(parameter, 0, spread)
    return request.param, with_statistics(network)


@pytest.mark.slow
@pytest.mark.parametrize("perturb", [Zero(), Random()])
def test_the_networks_of_the_publication_compute_the_same(
    architecture: tuple[str, nn.Module], perturb: Any
) -> None:
    name, network = architecture
    side = 75 if name == "inception_v3" else 32
    batch = inputs(8, side).contiguous(memory_format=torch.channels_last)
    engine = Engine(network, inputs(1, side))
    pairs = [m for m in engine.network.modules() if isinstance(m, ConvolutionNorm)]
    assert len(pairs) == FOLDED[name]
    faults = drawn(network, perturb, 500, side)
    with engine.corrupted(faults), torch.no_grad():
        logits = engine.run(batch)
    expected = plain(network, faults, batch)
    scale = expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * scale)


def respread(network: nn.Module) -> None:
    """Give batch normalisation other statistics, and scales and shifts that make up for them."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean = torch.empty_like(norm.bias).normal_(0, 0.2, generator=generator)
            variance = torch.empty_like(norm.bias).uniform_(0.3, 3, generator=generator)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias += scale * (mean - norm.running_mean)
            norm.weight.copy_(scale * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


@pytest.mark.parametrize("perturb", [Zero(), Random()])
@pytest.mark.parametrize("name", ["vgg19", "resnet50"])
def test_real_images_get_the_same_classes(
    name: str, perturb: Any, imagenet_root: Path, imagenet_weights: Path
) -> None:
    network = torchvision.models.get_model(name, weights=None).eval().requires_grad_(False)
    network.load_state_dict(torch.load(imagenet_weights / f"{name}.pth", weights_only=True))
    respread(network)
    network.to(memory_format=torch.channels_last)
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    source = ImageNet(str(imagenet_root))
    chosen = np.linspace(0, len(source) - 1, 40).astype(int)
    batch = torch.stack([weights.transforms()(source[i][0]) for i in chosen])
    engine = Engine(network, inputs(1, 224))
    faults = drawn(network, perturb, round(5e-5 * 2e7), 224)
    with engine.corrupted(faults), torch.no_grad():
        logits = engine.run(batch)
    expected = plain(network, faults, batch)
    assert torch.equal(logits.argmax(1), expected.argmax(1))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_what_is_not_shared_is_what_folding_made(normalised: nn.Module) -> None:
    own = Engine(normalised, inputs(1)).own_state()
    assert set(own) == {f"{n}.joint.{part}" for n in ("one", "two") for part in ("weight", "bias")}
    assert Engine(normalised, inputs(1), optimise=False).own_state() == {}
    assert set(Engine(normalised, inputs(1), "bfloat16").own_state()) > set(own)
