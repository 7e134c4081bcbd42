"""The network as computed: folded, in the requested arithmetic, with faults injected."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

from resilience.faults.draw import LayerFaults
from resilience.faults.injection import Patch, bit_sums, check_restored, patched
from resilience.faults.memory import values_at
from resilience.faults.population.layers import TRANSIENT_PARTS, Layer, layer_tensors
from resilience.inference.folding import ConvolutionNorm, fold
from resilience.system.errors import UserError

log = logging.getLogger(__name__)

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Engine:
    """A network as computed, built from the network as stored.

    Faults are given in terms of the stored network: its layers, indices and values. It is only
    read, and shares memory with the computed one wherever the two need not differ.

    Attributes
    ----------
    network
        The one computed; a `torch.fx.GraphModule` if it is optimised.
    dtype
        Of its weights and inputs.
    run
        From an input to logits: the network, or its compiled version.

    Parameters
    ----------
    stored
        In evaluation mode.
    example
        A network input, float32, shape (1, channels, height, width).
    precision
        The arithmetic: float32, tf32, bfloat16 or float16.
    optimise
        Fold batch normalisation, if `torch.fx` can trace the network.
    compile
        Compile the network with `torch.compile`.
    exposed
        Layers that must be computed as stored, and can't be folded.

    Raises
    ------
    UserError
        If a compiled network would have to expose its activations or inputs.
    """

    def __init__(
        self,
        stored: nn.Module,
        example: Tensor,
        precision: str = "float32",
        optimise: bool = True,
        compile: bool = False,
        exposed: Sequence[Layer] = (),
    ) -> None:
        tensors = layer_tensors(stored)
        apart = [tensors[layer.owner] for layer in exposed if layer.part == "activations"]
        apart += [tensors[layer.name] for layer in exposed if layer.name in tensors]
        network = _optimised(stored, example, apart) if optimise else stored
        names = {id(tensor): name for name, tensor in layer_tensors(network).items()}
        self._names = {
            layer: names[id(tensor)] for layer, tensor in tensors.items() if id(tensor) in names
        }
        self.dtype = DTYPES[precision]
        if self.dtype != torch.float32:
            network = copy.deepcopy(network).to(self.dtype)
        self._folded = {
            f"{name}.convolution": module
            for name, module in network.named_modules()
            if isinstance(module, ConvolutionNorm)
        }
        self.network = network
        self._stored = stored
        self._tensors = layer_tensors(network)
        if compile and any(layer.part in TRANSIENT_PARTS for layer in exposed):
            raise UserError(
                "compile=true works with faults in weights, biases and norms only; "
                "leave it out for activations and inputs"
            )
        self.run = torch.compile(network, dynamic=False) if compile else network

    def own_state(self) -> dict[str, Tensor]:
        """Tensors of the computed network that do not share the stored one's memory, by name."""
        shared = {tensor.data_ptr() for tensor in self._stored.state_dict().values()}
        return {
            name: tensor
            for name, tensor in self.network.state_dict().items()
            if tensor.data_ptr() not in shared
        }

    def tensor(self, layer: str) -> Tensor:
        """The computed network's tensor of a stored layer, unfolded."""
        return self._tensors[self._names[layer]]

    @contextmanager
    def corrupted(self, faults: Sequence[LayerFaults]) -> Iterator[None]:
        """Compute with faults for the duration of a block, then restore and verify the weights.

        In a layer folded with the batch normalisation after it, the faulty value is multiplied by
        its channel's factor. But where such a value is not finite, or beyond the fourth root of
        the largest number of the arithmetic (2^32 in float32), the two are computed separately,
        as they might overflow in different places than together.

        Parameters
        ----------
        faults
            `after` holds the values that the stored network would compute with, float32.

        Raises
        ------
        RestorationError
            If the weights are not restored bit for bit.
        """
        apart = [module for fault in faults if (module := self._beyond_folding(fault))]
        patches = [self._patch(fault, apart) for fault in faults]
        sums = bit_sums(self.network, patches)
        try:
            for module in apart:
                module.apart = True
            with patched(self.network, patches):
                yield
        finally:
            for module in apart:
                module.apart = False
        check_restored(self.network, patches, sums)

    def _beyond_folding(self, fault: LayerFaults) -> ConvolutionNorm | None:
        """The pair that a layer is folded into, if this fault requires computing it separately."""
        pair = self._folded.get(self._names[fault.layer])
        if pair is None:
            return None
        limit = torch.finfo(self.dtype).max ** 0.25
        values = torch.stack([fault.after, pair.scaled(fault.after, fault.index)])
        return None if bool((values.abs() <= limit).all()) else pair

    def _patch(self, fault: LayerFaults, apart: Sequence[ConvolutionNorm]) -> Patch:
        """What to write into the computed network."""
        name, after = self._names[fault.layer], fault.after
        pair = self._folded.get(name)
        if pair is not None and pair not in apart:
            name = name.removesuffix("convolution") + "joint"
            after = pair.scaled(after, fault.index)
        weight = self._tensors[name].detach()
        return Patch(name, fault.index, values_at(weight, fault.index), after.to(weight.dtype))


def _optimised(stored: nn.Module, example: Tensor, apart: Sequence[Tensor]) -> nn.Module:
    """The network traced and folded; or unchanged, if that fails or alters its outputs."""
    try:
        traced = fx.symbolic_trace(stored)
        fold(traced, apart)
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        log.info("the network is not optimised, because torch.fx can't trace it: %s", error)
        return stored
    traced.eval().to(memory_format=torch.channels_last)
    example = torch.linspace(-2, 2, example.numel(), device=example.device).reshape(example.shape)
    with torch.inference_mode():
        expected, outputs = stored(example), traced(example)
    close = 1e-3 * expected.abs().max().item()
    if not torch.allclose(outputs, expected, rtol=0, atol=close, equal_nan=True):
        log.warning(
            "the network is not optimised, because tracing and folding would change its outputs"
        )
        return stored
    return traced
