"""Folding batch normalisation into the preceding convolutions, for faster evaluation."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class ConvolutionNorm(nn.Module):
    """A convolution and the batch normalisation after it, computed as one convolution.

    Attributes
    ----------
    convolution, norm
        The two as stored.
    joint
        The convolution equivalent to both: its weights are the stored ones times `scale`.
    scale
        Factor of each output channel, shape (channels,).
    apart
        Whether the two are computed one after the other instead of jointly.
    """

    def __init__(self, convolution: Convolution, norm: Norm) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm
        self.joint = fuse_conv_bn_eval(convolution, norm)
        self.scale = _scale(norm).cpu()  # not a buffer: it keeps its precision in any arithmetic
        self.apart = False

    def scaled(self, values: Tensor, index: Tensor) -> Tensor:
        """What values at row-major indices of the stored weights become in the joint ones."""
        return values * self.scale[index // self.convolution.weight[0].numel()]

    def forward(self, inputs: Tensor) -> Tensor:
        """Output of the two for inputs of shape (images, channels, ...)."""
        outputs = self.norm(self.convolution(inputs)) if self.apart else self.joint(inputs)
        return cast(Tensor, outputs)


def fold(network: fx.GraphModule, apart: Collection[Tensor] = ()) -> None:
    """Fold every batch normalisation that directly follows a convolution, in place.

    A pair is left alone if anything else uses the convolution's output, if either of the two runs
    more than once or shares its weights, or if a factor would not be finite.

    Parameters
    ----------
    apart
        Parameters and buffers; pairs that contain one of them are left alone too.
    """
    kept = {id(tensor) for tensor in apart}
    calls = {
        node: network.get_submodule(node.target)
        for node in network.graph.nodes
        if node.op == "call_module"
    }
    uses = Counter(calls.values())
    owners = Counter(id(weight) for _, weight in network.named_parameters(remove_duplicate=False))
    for node, norm in calls.items():
        before = node.args[0]
        convolution = calls.get(before)
        if (
            isinstance(norm, Norm)
            and isinstance(convolution, Convolution)
            and norm.running_var is not None
            and len(before.users) == uses[convolution] == uses[norm] == 1
            and owners[id(convolution.weight)] == 1
            and bool(torch.isfinite(_scale(norm)).all())
            and kept.isdisjoint(map(id, (*_tensors(convolution), *_tensors(norm))))
        ):
            network.set_submodule(before.target, ConvolutionNorm(convolution, norm))
            node.replace_all_uses_with(before)
            network.graph.erase_node(node)
            network.delete_submodule(node.target)
    network.recompile()


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


@torch.no_grad()
def _scale(norm: Norm) -> Tensor:
    """Factor by which a batch normalisation multiplies each channel, shape (channels,)."""
    rate = torch.rsqrt(cast(Tensor, norm.running_var) + norm.eps)
    return rate if norm.weight is None else norm.weight * rate
