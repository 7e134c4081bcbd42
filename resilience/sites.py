"""Where faults strike: the population of weights, and sampling from it."""

import difflib
import fnmatch
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SAMPLER_VERSION = 1
"""Raised whenever the same generator would draw other faults; it enters every trial's seed."""

Kind = Literal["convolution", "linear", "attention"]
Targets = str | Sequence[str] | None
"""Layers by name, pattern or kind."""

_CONVOLUTIONS = {
    F.conv1d,
    F.conv2d,
    F.conv3d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
}
_ATTENTION = inspect.signature(F.multi_head_attention_forward)
_PROJECTIONS = (
    "in_proj_weight",
    "q_proj_weight",
    "k_proj_weight",
    "v_proj_weight",
    "out_proj_weight",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight tensor that the network uses: its name, what uses it, its number of weights."""

    name: str
    kind: Kind
    size: int


@dataclass(frozen=True, slots=True)
class Population:
    """The weights that faults may strike: layers in the order in which the network uses them."""

    layers: tuple[Layer, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of weights of each layer, shape (layers,)."""
        return np.array([layer.size for layer in self.layers], dtype=np.int64)

    @property
    def size(self) -> int:
        """Number of weights of all layers, the N of failure rates."""
        return sum(layer.size for layer in self.layers)


def layer_name(parameter: str) -> str:
    """Name of the layer that a parameter's weights belong to.

    The parameter's own name without a final `.weight`: `features.0` for `features.0.weight`,
    and `attention.in_proj_weight` for itself.
    """
    return parameter.removesuffix(".weight")


def layer_weights(network: nn.Module) -> dict[str, Tensor]:
    """Tensors that may hold weights, by layer name; tied ones once, under their first name."""
    return {layer_name(name): parameter for name, parameter in network.named_parameters()}


class _Recorder(TorchFunctionMode):
    """Notes every weight that a convolution, linear layer or attention uses, in order of use."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self._names = names
        self.layers: dict[int, Layer] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CONVOLUTIONS or func is F.linear:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            self._note("linear" if func is F.linear else "convolution", weight)
        elif func is F.multi_head_attention_forward:
            arguments = _ATTENTION.bind(*args, **kwargs).arguments
            for projection in _PROJECTIONS:
                if arguments.get(projection) is not None:
                    self._note("attention", arguments[projection])
        return func(*args, **kwargs)

    def _note(self, kind: Kind, weight: Tensor) -> None:
        if id(weight) in self.layers:
            return
        if id(weight) not in self._names:
            raise ValueError(
                f"a {kind} layer uses a weight of shape {tuple(weight.shape)} that is no parameter "
                "of the network but computed from others, as by weight normalisation; "
                "replace it by a plain parameter first"
            )
        self.layers[id(weight)] = Layer(self._names[id(weight)], kind, weight.numel())


def used_layers(network: nn.Module, example: Tensor) -> tuple[Layer, ...]:
    """Every weight tensor that one forward pass really uses, in order of first use.

    Parameters
    ----------
    network
        In evaluation mode, so that heads for training only do not run and do not count.
    example
        An input of the network, shape (1, channels, height, width).

    Raises
    ------
    ValueError
        If a layer's weight is computed from others, so that it is stored nowhere.
    """
    recorder = _Recorder({id(tensor): name for name, tensor in layer_weights(network).items()})
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it bypasses the functions recorded here
    try:
        with torch.no_grad(), recorder:
            network(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return tuple(recorder.layers.values())


def targeted(layers: Sequence[Layer], targets: Targets) -> tuple[Layer, ...]:
    """Those of the layers that are named, in their own order.

    Parameters
    ----------
    targets
        Names, patterns (`layer1.*`), or kinds of layers; None: all.

    Raises
    ------
    ValueError
        If one of them matches no layer; says which names are near.
    """
    if targets is None:
        return tuple(layers)
    chosen: set[str] = set()
    for target in [targets] if isinstance(targets, str) else targets:
        matching = {layer.name for layer in layers if layer.name == target} or {
            layer.name
            for layer in layers
            if layer.kind == target or fnmatch.fnmatchcase(layer.name, target)
        }
        if not matching:
            names = [layer.name for layer in layers]
            kinds = sorted({layer.kind for layer in layers})
            near = difflib.get_close_matches(target, [*names, *kinds], 5, 0.4) or names[:5]
            raise ValueError(
                f"sites.targets={target} matches none of the {len(layers)} layers; near: "
                f"{', '.join(near)}; kinds: {', '.join(kinds)}"
            )
        chosen |= matching
    return tuple(layer for layer in layers if layer.name in chosen)


class Sites(Protocol):
    """A choice of which weights may be struck, and how likely each is."""

    def population(self, layers: Sequence[Layer]) -> Population:
        """Those of the network's layers that may be struck."""

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer."""


@dataclass(frozen=True, slots=True)
class Layerwise:
    """Layers drawn evenly, with replacement, then distinct weights in each.

    Attributes
    ----------
    targets
        Which layers: names, patterns or kinds, see `targeted`; None: all.
    """

    targets: Targets = None

    def population(self, layers: Sequence[Layer]) -> Population:
        """All layers, or those of them that are targets."""
        return Population(targeted(layers, self.targets))

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer.

        What does not fit into a full layer is drawn again, evenly among the others.
        """
        sizes = population.sizes
        counts = np.zeros_like(sizes)
        while missing := count - int(counts.sum()):
            open_layers = np.flatnonzero(counts < sizes)
            drawn = open_layers[rng.integers(len(open_layers), size=missing)]
            counts = np.minimum(counts + np.bincount(drawn, minlength=len(sizes)), sizes)
        return [
            np.sort(rng.choice(int(size), int(faults), replace=False))
            for size, faults in zip(sizes, counts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Paper(Layerwise):
    """The publication's choice: convolution layers drawn evenly, then distinct weights in each."""

    def population(self, layers: Sequence[Layer]) -> Population:
        """The convolution layers, or those of them that are targets.

        Raises
        ------
        ValueError
            For a network with fewer than three of them: the choice means little there.
        """
        convolutions = tuple(layer for layer in layers if layer.kind == "convolution")
        if len(convolutions) < 3:
            raise ValueError(
                f"sites=paper draws among convolution layers, and this network has "
                f"{len(convolutions)}; use sites=layerwise or sites=uniform"
            )
        return Population(targeted(convolutions, self.targets))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every weight of all layers equally likely, as a soft error in memory strikes.

    Attributes
    ----------
    targets
        Which layers: names, patterns or kinds, see `targeted`; None: all.
    """

    targets: Targets = None

    def population(self, layers: Sequence[Layer]) -> Population:
        """All layers, or those of them that are targets."""
        return Population(targeted(layers, self.targets))

    def draw(
        self, population: Population, count: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Indices of `count` distinct weights, sorted, one array for each layer."""
        sites = np.sort(rng.choice(population.size, count, replace=False))
        ends = np.cumsum(population.sizes)
        parts = np.split(sites, np.searchsorted(sites, ends[:-1]))
        return [part - start for part, start in zip(parts, ends - population.sizes, strict=True)]


def fault_count(frate: float, population: Population) -> int:
    """Number of faults that a failure rate means: round(frate x N), by Python's rounding.

    Raises
    ------
    ValueError
        For a rate outside [0, 1], or one above 0 that gives no fault.
    """
    if not 0 <= frate <= 1:
        raise ValueError(f"frate must lie in [0, 1], got {frate}")
    count = round(frate * population.size)
    if frate > 0 and count == 0:
        raise ValueError(
            f"frate={frate:g} of {population.size:,} weights gives no fault; "
            f"frate={1 / population.size:.2g} gives one"
        )
    return count
