"""The layers of a network: every tensor in it that faults may strike, and choosing among them."""

import difflib
import fnmatch
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from resilience.system.errors import UserError

Kind = Literal["convolution", "linear", "attention", "normalisation", "input"]
Part = Literal["weights", "biases", "norms", "activations", "inputs"]
Structure = Literal["element", "row", "kernel", "channel", "tensor", "burst"]
PARTS = get_args(Part)
TRANSIENT_PARTS: tuple[Part, ...] = ("activations", "inputs")
"""Parts that no memory keeps: each image has its own."""
Targets = str | int | Sequence[str | int] | None
"""Layers by name, pattern or kind."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One tensor that the network uses and that faults may strike.

    Attributes
    ----------
    name
        That of the parameter or buffer, without a final `.weight`; `LAYER.output` for the output
        of a layer, and `input` for the image.
    kind
        What uses it.
    shape
        For activations and inputs, that of one image.
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
        # A network that is a single layer calls it `weight`.
        return (self.name.rpartition(".")[0] or "weight") if own else self.name


@dataclass(frozen=True, slots=True)
class Population:
    """What faults may strike: layers in the order in which the network uses them.

    `find_layers` gives that of a whole network; a choice of sites narrows it down.

    Attributes
    ----------
    tensors
        The network's parameters and buffers, by layer name; only ever read.
    structure
        What one fault strikes: one element, or several neighbouring ones of a tensor.
    burst
        Number of elements of the structure `burst`.
    transient
        Whether each image has its own faults in activations and inputs.
    """

    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    structure: Structure = "element"
    burst: int = 1
    transient: bool = False

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of structures in each layer, shape (layers,)."""
        return np.array(
            [-(-layer.size // self._length(layer)) for layer in self.layers], dtype=np.int64
        )

    @property
    def size(self) -> int:
        """Number of structures in all layers, the N of failure rates."""
        return int(self.sizes.sum())

    @property
    def unit(self) -> str:
        """What is counted, in the plural."""
        if self.structure != "element":
            return f"{self.structure}s"
        return "weights" if {layer.part for layer in self.layers} == {"weights"} else "elements"

    def only(self, wanted: Callable[[Layer], bool]) -> "Population":
        """The same, restricted to some of the layers."""
        return replace(self, layers=tuple(layer for layer in self.layers if wanted(layer)))

    def elements(self, layer: Layer, structures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row-major indices of all elements of these structures of a layer, shape (elements,)."""
        length = self._length(layer)
        if length == 1:
            return structures
        indices = (structures[:, None] * length + np.arange(length)).ravel()
        return indices[indices < layer.size]  # the last burst of a layer may be shorter

    def _length(self, layer: Layer) -> int:
        """Elements of one structure; each is a run of neighbours in row-major order."""
        if self.structure == "element":
            return 1
        # Activations and images have no input channels, so that a kernel is a channel's plane.
        kernel = 1 if layer.part in TRANSIENT_PARTS else 2
        return {
            "row": layer.shape[-1],
            "kernel": math.prod(layer.shape[kernel:]),
            "channel": math.prod(layer.shape[1:]),
            "tensor": layer.size,
            "burst": self.burst,
        }[self.structure]


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
    UserError
        If one of them matches no layer; says which names are near.
    """
    if targets is None:
        return tuple(layers)
    # Layers of plain sequences are called 0, 1, ..., which configurations read as numbers.
    named = [str(each) for each in ([targets] if isinstance(targets, str | int) else targets)]
    if not named:
        raise UserError("sites.targets names no layer; leave it out for all of them")
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
            raise UserError(
                f"sites.targets={target} matches none of the {len(layers)} layers; near: "
                f"{', '.join(near)}; kinds: {', '.join(kinds)}"
            )
        chosen |= matching
    return tuple(layer for layer in layers if layer.name in chosen)
