"""A network's tensors as its memory holds them: in a format, from which the network computes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from resilience.faults.population.layers import TRANSIENT_PARTS, Layer, Population, layer_tensors
from resilience.number_formats import FORMATS, NumberFormat
from resilience.system.errors import UserError

FLOAT32 = FORMATS["float32"]

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
}
"""torch's types of the same bits, by format."""

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Memory:
    """The memory of a network.

    float16 and bfloat16 hold every parameter and buffer. int8 holds the weights of the layers,
    with one scale for each slice along the first dimension (an output channel), and leaves
    everything else in float32, as biases and normalisations are not quantised.

    Attributes
    ----------
    format
        Of weights, activations and inputs.

    Parameters
    ----------
    population
        Of the whole network; its tensors are only read.
    """

    def __init__(self, population: Population, format: NumberFormat = FLOAT32) -> None:
        self.format = format
        self._tensors = population.tensors
        quantised = format.name == "int8"
        self._quantised = {
            layer.name for layer in population if quantised and layer.part == "weights"
        }
        self._scales: dict[str, Tensor] = {}
        self._rounded: set[str] = set()

    def format_of(self, name: str) -> NumberFormat:
        """The format in which a tensor is held."""
        quantised = self.format.name == "int8"
        return FLOAT32 if quantised and name not in self._quantised else self.format

    def common_format(self, layers: Sequence[Layer]) -> NumberFormat:
        """The one format in which all of these layers are held.

        Raises
        ------
        UserError
            If they are held in several.
        """
        formats = {
            held.name: held
            for layer in layers
            for held in [
                self.format if layer.part in TRANSIENT_PARTS else self.format_of(layer.name)
            ]
        }
        if len(formats) > 1:
            raise UserError(
                f"the layers are held in {' and '.join(sorted(formats))}, whose bits are numbered "
                "differently; stratify by bit over one sites.part at a time"
            )
        return next(iter(formats.values()))

    def tensor(self, name: str) -> Tensor:
        """All values that a tensor's memory stands for."""
        tensor = self._tensors[name]
        if self.format == FLOAT32 or name in self._rounded:
            return tensor
        return self._held(name)

    def scale(self, name: str, index: Tensor) -> Tensor | None:
        """Value of one step of the codes at row-major indices, shape (faults,); None for floats."""
        if name not in self._quantised:
            return None
        scales, tensor = self._scale(name).flatten().cpu(), self._tensors[name]
        return scales[index // (tensor.numel() // len(scales))]

    def codes(self, name: str, index: Tensor) -> Tensor:
        """What the memory holds at row-major indices, on the CPU, shape (faults,)."""
        tensor, format = self._tensors[name], self.format_of(name)
        _refuse_other_width(name, tensor, format)
        return encode(values_at(tensor, index), format, self.scale(name, index))

    def values(self, name: str, index: Tensor, codes: Tensor) -> Tensor:
        """The values of codes at row-major indices, float32, shape (elements,)."""
        return decode(codes, self.scale(name, index))

    @torch.no_grad()
    def round(self) -> None:
        """Round the network's own tensors, in place, to what its memory can hold."""
        if self.format == FLOAT32:
            return
        for name, tensor in self._tensors.items():
            if tensor.is_floating_point() and name not in self._rounded:
                tensor.copy_(self._held(name))
                self._rounded.add(name)

    def _held(self, name: str) -> Tensor:
        tensor, format = self._tensors[name], self.format_of(name)
        _refuse_other_width(name, tensor, format)
        scale = self._scale(name) if name in self._quantised else None
        return decode(encode(tensor, format, scale), scale).to(tensor.dtype)

    def _scale(self, name: str) -> Tensor:
        # Only once, from the unrounded values: rounding may change the last bit of the scale.
        if name not in self._scales:
            self._scales[name] = int8_scale(self._tensors[name])
        return self._scales[name]


@contextmanager
def held(network: nn.Module, population: Population, format: NumberFormat) -> Iterator[Memory]:
    """Make a network compute from memory in a format for the length of a block.

    Afterwards every tensor is what it was, bit for bit.

    Parameters
    ----------
    population
        Of this network, or of another one with the same layers.
    """
    tensors = {name: tensor.detach() for name, tensor in layer_tensors(network).items()}
    memory = Memory(replace(population, tensors=tensors), format)
    before: Mapping[str, Tensor] = {}
    if format != FLOAT32:
        before = {name: tensor.clone() for name, tensor in tensors.items()}
    try:
        memory.round()
        yield memory
    finally:
        with torch.no_grad():
            for name, tensor in before.items():
                tensors[name].copy_(tensor)


def encode(values: Tensor, format: NumberFormat, scale: Tensor | None = None) -> Tensor:
    """The codes that memory holds for values, same shape: the nearest ones, ties to even.

    int8 saturates at -127 and 127, as its range is symmetric.

    Parameters
    ----------
    scale
        Value of one step of int8; None: 1.

    Raises
    ------
    UserError
        For NaN in int8, which has none.
    """
    dtype = DTYPES[format.name]
    if dtype != torch.int8:
        return values.to(dtype)
    if values.isnan().any():
        raise UserError("int8 has no nan; use a float format, or a perturbation without nan")
    steps = values if scale is None else values / scale
    return steps.round().clamp(-127, 127).to(torch.int8)


def decode(codes: Tensor, scale: Tensor | None = None) -> Tensor:
    """The values that codes in memory stand for, float32, same shape."""
    values = codes.to(torch.float32)
    return values if scale is None else values * scale


def int8_scale(values: Tensor) -> Tensor:
    """Value of one step of int8, for each slice along the first dimension; broadcasts.

    The largest absolute value is 127 steps. A slice of zeros has the smallest normal scale. A
    vector is one slice.
    """
    slices = values.flatten(1) if values.dim() > 1 else values[None]
    largest = slices.abs().amax(1)
    scale = (largest / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return scale.reshape(-1, *[1] * (values.dim() - 1))


def raw_bits(values: Tensor) -> Tensor:
    """The same memory as integers of the same width, same shape."""
    return values.view(_INTEGERS[values.element_size()])


def values_at(tensor: Tensor, index: Tensor) -> Tensor:
    """A tensor's values at row-major indices, on the CPU, shape (faults,)."""
    return tensor[torch.unravel_index(index.to(tensor.device), tensor.shape)].cpu()


def _refuse_other_width(name: str, tensor: Tensor, format: NumberFormat) -> None:
    """Raise an error if a tensor's own type is not the format's, unless it is float32."""
    if not tensor.is_floating_point():
        raise UserError(
            f"{name} holds {tensor.dtype}, and only floating-point tensors can be struck"
        )
    if tensor.dtype not in (torch.float32, DTYPES[format.name]):
        dtype = str(tensor.dtype).removeprefix("torch.")
        hint = f"say format={dtype}" if dtype in DTYPES else "convert it with network.float()"
        raise UserError(f"{name} of the network is {dtype}, not {format.name}: {hint}")
