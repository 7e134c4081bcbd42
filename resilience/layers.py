"""The layers of a network: every weight tensor that it really uses, and choosing among them."""

import difflib
import fnmatch
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
