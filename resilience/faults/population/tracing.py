"""Tracing a forward pass: which tensors a network really uses, and its layers' outputs."""

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resilience.faults.population.layers import PARTS, Kind, Layer, Part, Population, layer_tensors
from resilience.system.errors import UserError

_CONVOLUTIONS = {
    F.conv1d,
    F.conv2d,
    F.conv3d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
}
_PROJECTIONS = (
    "in_proj_weight",
    "q_proj_weight",
    "k_proj_weight",
    "v_proj_weight",
    "out_proj_weight",
)
_PROJECTION_BIASES = ("in_proj_bias", "bias_k", "bias_v", "out_proj_bias")
_SCALE_AND_SHIFT = ("weight", "bias")
_NORMS: dict[Any, tuple[str, ...]] = {
    F.batch_norm: (*_SCALE_AND_SHIFT, "running_mean", "running_var"),
    F.instance_norm: (*_SCALE_AND_SHIFT, "running_mean", "running_var"),
    F.layer_norm: _SCALE_AND_SHIFT,
    F.group_norm: _SCALE_AND_SHIFT,
    F.rms_norm: ("weight",),
}
_SIGNATURES: dict[Any, inspect.Signature] = {
    function: inspect.signature(function) for function in (*_NORMS, F.multi_head_attention_forward)
}


def output_name(weights: str, call: int) -> str:
    """Name of a layer's output when it is used for the first, second, ... time."""
    return f"{weights}.output" if call == 1 else f"{weights}.output#{call}"


def find_layers(network: nn.Module, example: Tensor) -> Population:
    """Find everything that faults may strike in a network, by tracing one forward pass.

    Only what that pass uses counts. The network is traced in evaluation mode, so that heads for
    training only do not run, and is left exactly as it was.

    Parameters
    ----------
    example
        An input of the network, shape (images, ...); its first image is used.

    Raises
    ------
    UserError
        If the example is not a tensor, or if a layer's weight is computed from other tensors, so
        that it is stored nowhere.

    Examples
    --------
    >>> import torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> population = rs.find_layers(network, torch.zeros(1, 4))
    >>> [(layer.name, layer.size) for layer in population if layer.part == "weights"]
    [('0', 12), ('2', 6)]
    """
    if not isinstance(example, Tensor) or example.dim() < 1 or not len(example):
        raise UserError(
            "find_layers needs an example input of the network: a tensor of shape (images, ...)"
        )
    with undisturbed(network), torch.no_grad():
        network.eval()
        layers = used_layers(network, example[:1])
    tensors = {name: tensor.detach() for name, tensor in layer_tensors(network).items()}
    return Population(layers, tensors)


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Restore a network's modes and buffers, and torch's random state, at the end of a block."""
    modes = {module: module.training for module in network.modules()}
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def used_layers(network: nn.Module, example: Tensor) -> tuple[Layer, ...]:
    """Every tensor that one forward pass really uses, part by part in order of first use.

    Weights, biases and activations of convolutions, linear layers and attention; scale, shift and
    running statistics of normalisations; the input. Biases that are computed from other tensors
    are stored nowhere and left out.

    Parameters
    ----------
    network
        In evaluation mode.
    example
        An input of the network, shape (1, ...).

    Raises
    ------
    UserError
        If a layer's weight is computed from other tensors, so that it is stored nowhere.
    """
    recorder = _Recorder({id(tensor): name for name, tensor in layer_tensors(network).items()})
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it bypasses the functions traced here
    try:
        with torch.no_grad(), recorder:
            network(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    inputs = Layer("input", "input", tuple(example.shape[1:]), "inputs")
    found = (*recorder.layers.values(), *recorder.outputs, inputs)
    return tuple(sorted(found, key=lambda layer: PARTS.index(layer.part)))


class OutputTap(TorchFunctionMode):
    """Shows the output of every convolution, linear layer and attention as it is computed.

    Parameters
    ----------
    names
        Of layers, by the `id` of their weights; attention by that of its output projection.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self._names = names
        self._calls: Counter[str] = Counter()

    def begin_pass(self) -> None:
        """Count the uses of each layer from the first one again."""
        self._calls.clear()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = func(*args, **(kwargs or {}))
        weight = _weight_of_output(func, args, kwargs or {})
        if weight is not None and (name := self._names.get(id(weight))) is not None:
            self._calls[name] += 1
            attention = func is F.multi_head_attention_forward
            output = given[0].movedim(1, 0) if attention else given
            self.show(output_name(name, self._calls[name]), output)
        return given

    def show(self, name: str, output: Tensor) -> None:
        """Take note of a layer's output, images first; changes made to it in place persist."""
        raise NotImplementedError


class _Recorder(OutputTap):
    """Notes every tensor that faults may strike, in order of first use."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__(names)
        self.layers: dict[int, Layer] = {}
        self.outputs: list[Layer] = []
        self._kind: Kind = "convolution"

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for kind, part, tensor in _used_by(func, args, kwargs or {}):
            self._note(kind, part, tensor)
            self._kind = kind
        return super().__torch_function__(func, types, args, kwargs)

    def show(self, name: str, output: Tensor) -> None:
        # The shape of one image; some networks put windows of an image in the batch dimension.
        shape = output.shape[1:] if len(output) == 1 else output.shape
        self.outputs.append(Layer(name, self._kind, tuple(shape), "activations"))

    def _note(self, kind: Kind, part: Part, tensor: Tensor) -> None:
        if id(tensor) in self.layers:
            return
        if id(tensor) in self._names:
            name = self._names[id(tensor)]
            self.layers[id(tensor)] = Layer(name, kind, tuple(tensor.shape), part)
        elif part == "weights":
            raise UserError(
                f"a {kind} layer uses a weight of shape {tuple(tensor.shape)} that is not a "
                "parameter of the network but computed from other tensors, as by weight "
                "normalisation; replace it by a plain parameter first"
            )


def _used_by(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[Kind, Part, Tensor]]:
    """The tensors used by a call that faults may strike."""
    found: list[tuple[Kind, Part, Any]] = []
    if func in _CONVOLUTIONS or func is F.linear:
        kind: Kind = "linear" if func is F.linear else "convolution"
        found = [(kind, "weights", _given(args, kwargs, 1, "weight"))]
        found += [(kind, "biases", _given(args, kwargs, 2, "bias"))]
    elif func in _SIGNATURES:
        arguments = _SIGNATURES[func].bind(*args, **kwargs).arguments
        if func in _NORMS:
            found = [("normalisation", "norms", arguments.get(name)) for name in _NORMS[func]]
        else:
            found = [("attention", "weights", arguments.get(name)) for name in _PROJECTIONS]
            found += [("attention", "biases", arguments.get(name)) for name in _PROJECTION_BIASES]
    return ((kind, part, tensor) for kind, part, tensor in found if tensor is not None)


def _weight_of_output(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The weight after which the output of a call is named."""
    if func in _CONVOLUTIONS or func is F.linear:
        return _given(args, kwargs, 1, "weight")
    if func is F.multi_head_attention_forward:
        bound: Tensor = _SIGNATURES[func].bind(*args, **kwargs).arguments["out_proj_weight"]
        return bound
    return None


def _given(
    args: Sequence[Any], kwargs: Mapping[str, Any], position: int, name: str
) -> Tensor | None:
    found: Tensor | None = args[position] if len(args) > position else kwargs.get(name)
    return found
