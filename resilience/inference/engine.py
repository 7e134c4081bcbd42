"""The network as it computes: folded, in the requested arithmetic, with faults in it."""

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
    """A network as it computes, made from the network as it is stored.

    Faults are given in terms of the stored network, which is only read: its layers, its indices,
    its values. Where the two need not differ they share memory.

    Attributes
    ----------
    network
        What computes; a `torch.fx.GraphModule` where it is optimised.
    dtype
        Of its weights and inputs.
    run
        From an input to logits: the network, or what `torch.compile` made of it.

    Parameters
    ----------
    stored
        In evaluation mode.
    example
        An input of it, float32, shape (1, channels, height, width).
    precision
        The arithmetic: float32, tf32, bfloat16 or float16.
    optimise
        Fold batch normalisation, where `torch.fx` can trace the network.
    compile
        Compile the network with `torch.compile`.
    exposed
        Layers that must be computed as they are stored, and can't be folded.

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
        """Tensors of the computing network that are not in the stored one's memory, by name."""
        shared = {tensor.data_ptr() for tensor in self._stored.state_dict().values()}
        return {
            name: tensor
            for name, tensor in self.network.state_dict().items()
            if tensor.data_ptr() not in shared
        }

    def tensor(self, layer: str) -> Tensor:
        """The tensor of the computing network that holds a stored layer's as it is."""
        return self._tensors[self._names[layer]]

    @contextmanager
    def corrupted(self, faults: Sequence[LayerFaults]) -> Iterator[None]:
        """Compute with faults for the length of a block, then as before, which is verified.

        A layer that is computed together with the batch normalisation after it is struck with
        the value after, times that channel's factor; but where such a value is not finite, or
        beyond the fourth root of the largest number of the arithmetic (2^32 in float32), the two
        are computed apart, as they might overflow in other places than together.

        Parameters
        ----------
        faults
            `after` has the values that the stored network would compute with, float32.

        Raises
        ------
        RestorationError
            If the weights afterwards are not those from before.
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
        """The pair that a layer is folded into, if this fault must see it apart."""
        pair = self._folded.get(self._names[fault.layer])
        if pair is None:
            return None
        limit = torch.finfo(self.dtype).max ** 0.25
        values = torch.stack([fault.after, pair.scaled(fault.after, fault.index)])
        return None if bool((values.abs() <= limit).all()) else pair

    def _patch(self, fault: LayerFaults, apart: Sequence[ConvolutionNorm]) -> Patch:
        """What is to be written into the computing network."""
        name, after = self._names[fault.layer], fault.after
        pair = self._folded.get(name)
        if pair is not None and pair not in apart:
            name = name.removesuffix("convolution") + "joint"
            after = pair.scaled(after, fault.index)
        weight = self._tensors[name].detach()
        return Patch(name, fault.index, values_at(weight, fault.index), after.to(weight.dtype))


def _optimised(stored: nn.Module, example: Tensor, apart: Sequence[Tensor]) -> nn.Module:
    """The network traced and folded; or as it is, where that can't be done or changes it."""
    try:
        traced = fx.symbolic_trace(stored)
        fold(traced, apart)
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        log.info("the network is computed as it is, as torch.fx can't trace it: %s", error)
        return stored
    traced.eval().to(memory_format=torch.channels_last)
    example = torch.linspace(-2, 2, example.numel(), device=example.device).reshape(example.shape)
    with torch.inference_mode():
        expected, outputs = stored(example), traced(example)
    close = 1e-3 * expected.abs().max().item()
    if not torch.allclose(outputs, expected, rtol=0, atol=close, equal_nan=True):
        log.warning("the network is computed as it is, as tracing and folding would change it")
        return stored
    return traced
