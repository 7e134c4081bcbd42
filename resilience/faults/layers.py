"""The layers of a network: every tensor in it that faults may strike, and choosing among them."""

import difflib
import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

Kind = Literal["convolution", "linear", "attention", "normalisation", "input"]
Part = Literal["weights", "biases", "norms", "activations", "inputs"]
PARTS = get_args(Part)
PASSING: tuple[Part, ...] = ("activations", "inputs")
"""Parts that no memory keeps: they pass through the network, other ones for each image."""
Targets = str | int | Sequence[str | int] | None
"""Layers by name, pattern or kind."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One tensor that the network uses and that faults may strike.

    Attributes
    ----------
    name
        That of the parameter or buffer, without a final `.weight`; `LAYER.output` for what a
        layer gives, and `input` for the image.
    kind
        What uses it.
    shape
        Of activations and inputs, that of one image.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    part: Part = "weights"

    @property
    def size(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)

    @property
    def owner(self) -> str:
        """Name of the layer that a bias, a normalisation's tensor or an output belongs to."""
        if self.part in ("weights", "inputs"):
            return self.name
        end = self.name.rpartition(".")[2].partition("#")[0]
        own = end in ("bias", "output", "running_mean", "running_var") or self.part == "biases"
        return self.name.rpartition(".")[0] if own else self.name


def layer_name(tensor: str) -> str:
    """Name of the layer that a parameter or buffer belongs to.

    Its own name without a final `.weight`: `features.0` for `features.0.weight`, and
    `attention.in_proj_weight` for itself.
    """
    return tensor.removesuffix(".weight")


def layer_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by layer name; tied ones once, under their first name."""
    names: dict[Tensor, str] = {}
    for path, module in network.named_modules():  # once, as each trial asks several times
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                names.setdefault(tensor, f"{path}.{name}" if path else name)
    return {layer_name(name): tensor for tensor, name in names.items()}


def targeted(layers: Sequence[Layer], targets: Targets) -> tuple[Layer, ...]:
    """Those of the layers that are named, in their own order.

    Parameters
    ----------
    targets
        Names, patterns (`layer1.*`), or kinds of layers; None: all. The name of a layer stands for
        its bias and its output too.

    Raises
    ------
    ValueError
        If one of them matches no layer; says which names are near.
    """
    if targets is None:
        return tuple(layers)
    # Layers of plain sequences are called 0, 1, ..., which configurations read as numbers.
    named = [str(each) for each in ([targets] if isinstance(targets, str | int) else targets)]
    if not named:
        raise ValueError("sites.targets names no layer; leave it out for all of them")
    chosen: set[str] = set()
    for target in named:
        matching = {layer.name for layer in layers if target in (layer.name, layer.owner)} or {
            layer.name
            for layer in layers
            if layer.kind == target
            or fnmatch.fnmatchcase(layer.name, target)
            or fnmatch.fnmatchcase(layer.owner, target)
        }
        if not matching:
            names = [layer.owner for layer in layers]
            kinds = sorted({layer.kind for layer in layers})
            near = difflib.get_close_matches(target, [*names, *kinds], 5, 0.4) or names[:5]
            raise ValueError(
                f"sites.targets={target} matches none of the {len(layers)} layers; near: "
                f"{', '.join(near)}; kinds: {', '.join(kinds)}"
            )
        chosen |= matching
    return tuple(layer for layer in layers if layer.name in chosen)
