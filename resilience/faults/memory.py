"""A network's tensors as its memory holds them: in a format, from which the network computes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resilience.faults.formats import FORMATS, Format, int8_scale
from resilience.faults.layers import PASSING, Layer, layer_tensors

_FLOAT32 = FORMATS["float32"]


class Storage:
    """The memory of a network.

    float16 and bfloat16 hold every parameter and buffer. int8 holds the weights of `layers`, with
    one scale for each slice along the first dimension (an output channel), and leaves what else
    there is in float32, as biases and normalisations are not quantised.

    Attributes
    ----------
    network
        Computes with the values that its memory stands for: rounded here, in place.
    format
        Of weights, activations and inputs.

    Parameters
    ----------
    layers
        What faults may strike in it.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[Layer] = (), format: Format = _FLOAT32
    ) -> None:
        self.network = network
        self._tensors = {name: tensor.detach() for name, tensor in layer_tensors(network).items()}
        self.format = format
        self._scales: dict[str, Tensor] = {}
        if format.name == "int8":
            weights = [layer.name for layer in layers if layer.part == "weights"]
            self._scales = {name: int8_scale(self._tensors[name]) for name in weights}
        if format != _FLOAT32:
            for name, tensor in self._tensors.items():
                if tensor.is_floating_point():
                    held, scale = self.format_of(name), self._scales.get(name)
                    tensor.copy_(held.decode(held.encode(tensor, scale), scale))

    def format_of(self, name: str) -> Format:
        """The format that a tensor is held in."""
        quantised = self.format.name == "int8"
        return _FLOAT32 if quantised and name not in self._scales else self.format

    def common_format(self, layers: Sequence[Layer]) -> Format:
        """The one format that all of these layers are held in.

        Raises
        ------
        ValueError
            If they are held in several.
        """
        formats = {
            held.name: held
            for layer in layers
            for held in [self.format if layer.part in PASSING else self.format_of(layer.name)]
        }
        if len(formats) > 1:
            raise ValueError(
                f"the layers are held in {' and '.join(sorted(formats))}, which number their bits "
                "apart; take turns over the bits of one sites.part at a time"
            )
        return next(iter(formats.values()))

    def tensor(self, name: str) -> Tensor:
        """All values of a tensor, float32."""
        return self._tensors[name]

    def scale(self, name: str, index: Tensor) -> Tensor | None:
        """Value of one step of the codes at row-major indices, shape (faults,); None for floats."""
        if name not in self._scales:
            return None
        scales, tensor = self._scales[name].flatten().cpu(), self._tensors[name]
        return scales[index // (tensor.numel() // len(scales))]

    def codes(self, name: str, index: Tensor) -> Tensor:
        """What the memory holds at row-major indices, on the CPU, shape (faults,)."""
        values = values_at(self._tensors[name], index)
        return self.format_of(name).encode(values, self.scale(name, index))

    def values(self, name: str, index: Tensor, codes: Tensor) -> Tensor:
        """What codes at row-major indices stand for, float32, shape (elements,)."""
        return self.format_of(name).decode(codes, self.scale(name, index))


def values_at(tensor: Tensor, index: Tensor) -> Tensor:
    """A tensor's values at row-major indices, on the CPU, shape (faults,)."""
    return tensor[torch.unravel_index(index.to(tensor.device), tensor.shape)].cpu()
