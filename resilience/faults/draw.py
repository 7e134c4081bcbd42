"""Draws of faults as data, and as CSV text: one row for each element that is struck."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.memory import raw_bits
from resilience.faults.population.layers import Layer, Part, Population
from resilience.number_formats import NumberFormat
from resilience.system.atomic import replacing
from resilience.system.errors import UserError

COLUMNS = ("layer", "index", "before", "after", "before_bits", "after_bits")
PART, BITS, IMAGE, DRAW = FURTHER = ("part", "bits", "image", "draw")
"""Columns that a list has only where it needs them: faults in other parts than weights, faults of
bits, faults in activations or inputs, several draws."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerFaults:
    """The faults of one layer, element by element.

    Attributes
    ----------
    layer
        Its name.
    index
        Row-major indices in its logical shape, shape (elements,).
    before, after
        What the memory holds there before and after, on the CPU, shape (elements,).
    part
        Which part of the network the layer belongs to.
    bits
        The bits that were struck, as a mask, int64, shape (elements,); None where whole values
        were.
    image
        Position of the image in whose activations or input a fault is, shape (elements,); None
        for what the memory keeps.
    """

    layer: str
    index: Tensor
    before: Tensor
    after: Tensor
    part: Part = "weights"
    bits: Tensor | None = None
    image: Tensor | None = None


class Rule(Protocol):
    """What the memory holds after the faults in one layer's output for one image."""

    def __call__(
        self, image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Codes after, shape (elements,), and the mask of the bits that were struck, if any were.

        Parameters
        ----------
        image
            Its position among all images.
        codes
            Before the faults.
        scale
            Of each code, in formats that have one.
        output
            The layer's whole output for this image.
        """


@dataclass(frozen=True, slots=True, eq=False)
class ActivationFaults:
    """Faults in the output of one layer, or in the network's input.

    Attributes
    ----------
    layer
        Of the part `activations` or `inputs`.
    sites
        Row-major indices in the layer's output for an image, given the image's position.
    rule
        What is written there.
    """

    layer: Layer
    sites: Callable[[int], NDArray[np.int64]]
    rule: Rule


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """All the faults of one corrupted run.

    Attributes
    ----------
    stored
        Faults in what the network's memory keeps, by layer; struck layers only.
    activations
        Faults in activations and inputs, which are known element by element once the network has
        run.
    by_layer
        Number of faults of each struck layer; of transient ones, over all images, as far as the
        number of images is known.
    population
        Of the whole network.
    exposed
        The layers among which these faults were drawn, or that their list names.
    format
        In which the network's memory holds what is struck.
    """

    stored: tuple[LayerFaults, ...]
    activations: tuple[ActivationFaults, ...]
    by_layer: Mapping[str, int]
    population: Population = field(repr=False)
    exposed: tuple[Layer, ...] = field(repr=False)
    format: NumberFormat
    _observed: list[LayerFaults] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return sum(self.by_layer.values())

    @property
    def faults(self) -> tuple[LayerFaults, ...]:
        """Every fault, element by element.

        Raises
        ------
        UserError
            For faults in activations or inputs before any image has passed through the network:
            what a fault there finds, and leaves, depends on the image.
        """
        if self.activations and not self._observed:
            raise UserError(
                "faults in activations and inputs are known once images have passed through the "
                "network: use `injected` or `evaluate` first"
            )
        return (*self.stored, *self._observed)

    def observe(self, faults: Sequence[LayerFaults]) -> None:
        """Record the faults that the latest run injected into activations and inputs."""
        self._observed[:] = faults

    def save(self, path: str | Path) -> None:
        """Write a `faults.csv`, whole or not at all; `read_faults` reads it.

        Raises
        ------
        UserError
            As `faults` does.
        """
        text = to_csv([self.faults])
        with replacing(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def to_csv(draws: Sequence[Sequence[LayerFaults]]) -> str:
    """The faults of every draw as CSV text with a header.

    `before` and `after` are the shortest decimals that give the same value back (of int8 the
    integers that it holds), `before_bits` and `after_bits` hexadecimal: decimals lose the payload
    of a NaN. `bits` are the numbers of the bits that were struck.
    """
    everything = [faults for draw in draws for faults in draw]
    further = {
        PART: any(faults.part != "weights" for faults in everything),
        BITS: any(faults.bits is not None for faults in everything),
        IMAGE: any(faults.image is not None for faults in everything),
        DRAW: len(draws) > 1,
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*COLUMNS, *(name for name in FURTHER if further[name])])
    for number, draw in enumerate(draws):
        for faults in draw:
            columns = {**_columns(faults), DRAW: [number] * len(faults.index)}
            rows.writerows(
                zip(*(of for name, of in columns.items() if further.get(name, True)), strict=True)
            )
    return text.getvalue()


def _columns(faults: LayerFaults) -> dict[str, Sequence[object]]:
    count = len(faults.index)
    return {
        "layer": [faults.layer] * count,
        "index": faults.index.tolist(),
        "before": _decimals(faults.before),
        "after": _decimals(faults.after),
        "before_bits": hexadecimals(faults.before),
        "after_bits": hexadecimals(faults.after),
        PART: [faults.part] * count,
        BITS: [""] * count if faults.bits is None else list(map(_numbers, faults.bits.tolist())),
        IMAGE: [""] * count if faults.image is None else faults.image.tolist(),
    }


def _decimals(values: Tensor) -> list[str]:
    # numpy has no bfloat16, and every bfloat16 is a float32.
    exact = values.float() if values.dtype == torch.bfloat16 else values
    return [str(value) for value in exact.numpy()]


def hexadecimals(values: Tensor) -> list[str]:
    """The raw bits of values in hexadecimal, zero-padded to their width."""
    digits = 2 * values.element_size()
    mask = (1 << 4 * digits) - 1
    return [f"{bits & mask:0{digits}x}" for bits in raw_bits(values).tolist()]


def _numbers(mask: int) -> str:
    """Numbers of the bits that are set, `3 17`."""
    return " ".join(str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1)
