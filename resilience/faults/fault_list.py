"""Lists of faults, checked against the network that they are to strike."""

import difflib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.component import LISTED
from resilience.faults.draw import (
    BITS,
    DRAW,
    IMAGE,
    PART,
    ActivationFaults,
    Draw,
    LayerFaults,
    hexadecimals,
)
from resilience.faults.memory import DTYPES, Memory
from resilience.faults.population.layers import TRANSIENT_PARTS, Layer, Population
from resilience.number_formats import NumberFormat
from resilience.system.errors import UserError


@dataclass(frozen=True, slots=True, eq=False)
class FaultList:
    """Faults as `to_csv` writes them: a plan whose faults are given instead of drawn.

    Attributes
    ----------
    source
        Name of the list in messages.
    rows
        All of its columns, as text; its index is that of the lines.
    sha256
        Of the whole text.
    """

    source: str
    rows: pd.DataFrame
    sha256: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a network that the list strikes."""
        return tuple(sorted(set(self.rows[PART])))

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.numbers())

    def numbers(self) -> list[int]:
        """Number of each draw, ascending.

        Raises
        ------
        UserError
            If one is not a number.
        """
        for line, number in self.rows[DRAW].items():
            if not number.isdecimal():
                raise self._wrong(line, f"{DRAW} is {number or 'empty'}, not a number")
        return sorted(set(self.rows[DRAW].map(int)))

    def only(self, number: int) -> "FaultList":
        """The list of one of the draws."""
        return replace(self, rows=self.rows[self.rows[DRAW].map(int) == number])

    def population(self, population: Population) -> Population:
        """The layers that are listed, in their own order.

        Raises
        ------
        UserError
            For the first one that this network lacks.
        """
        known = {layer.name: layer for layer in population}
        for line, name, part in self.rows[["layer", PART]].itertuples(name=None):
            if name not in known:
                near = difflib.get_close_matches(name, known, 3, 0.4)
                hint = f"; near: {', '.join(near)}" if near else ""
                raise self._wrong(line, f"this network has no layer {name}{hint}")
            if known[name].part != part:
                raise self._wrong(line, f"{name} belongs to the {known[name].part}, not the {part}")
        listed = set(self.rows["layer"])
        return population.only(lambda layer: layer.name in listed)

    @property
    def exposing(self) -> Mapping[str, Any]:
        """Identifies the layers that must be computed as they are stored: those of the list."""
        return {"part": self.parts, "from": self.sha256}

    def factors(self) -> dict[str, Any]:
        """The factors of the design that this plan sets, by name."""
        return {"sites": LISTED, "perturb": LISTED, "frate": None}

    def options(self) -> dict[str, Any]:
        """The options of sites and perturbation, as results record them: there are none."""
        return {"sites": {}, "perturb": {}}

    def changed(self) -> dict[str, Any]:
        """What identifies the list in a trial's fingerprint."""
        return {"sites": self.exposing, "perturb": {}}

    def counts(self) -> dict[str, Any]:
        """The source of the number of faults."""
        return {"faults": {"from": self.sha256}}

    def words(self) -> dict[str, Any]:
        """What would seed a generator, if this plan drew anything."""
        return self.changed()

    def realise(
        self,
        population: Population,
        memory: Memory,
        rng: object = None,
        replica: int = 0,
        images: int | None = None,
    ) -> Iterator[Draw]:
        """The draws of the list, which are the same in every replica.

        Parameters
        ----------
        population
            Of the whole network.
        memory
            Of the network.
        images
            Number of images that pass through it; None: not known yet.

        Raises
        ------
        UserError
            For the first fault that does not fit: an index beyond the layer, an image beyond the
            last, bits of another format, a site that is listed twice, or a value before that the
            network's memory does not hold.
        """
        layers = self.population(population).layers
        self.numbers()  # refuses what is not a number
        for _, draw in self.rows.groupby(self.rows[DRAW].map(int), sort=True):
            stored, activations, by_layer = [], [], {}
            for layer in layers:
                rows = draw[draw["layer"] == layer.name]
                if rows.empty:
                    continue
                by_layer[layer.name] = len(rows)
                read = self._read(rows, layer, memory)
                if layer.part in TRANSIENT_PARTS:
                    activations.append(self._activations(rows, read, layer, images))
                else:
                    self._check_memory(rows, read, memory)
                    stored.append(read)
            yield Draw(
                tuple(stored), tuple(activations), by_layer, population, layers, memory.format
            )

    def _read(self, rows: pd.DataFrame, layer: Layer, memory: Memory) -> LayerFaults:
        """The faults of one layer, in the format in which this network holds it."""
        passing = layer.part in TRANSIENT_PARTS
        format = memory.format if passing else memory.format_of(layer.name)
        index = self._numbers(rows, "index", layer.size, f"elements of {layer.name}")
        twice = rows.duplicated(["index", IMAGE])
        if twice.any():
            raise self._wrong(twice.idxmax(), "this site is listed twice")
        masked = (rows[BITS] != "").all()
        masks = [self._mask(line, bits, format) for line, bits in rows[BITS].items()]
        return LayerFaults(
            layer.name,
            torch.from_numpy(index),
            self._codes(rows, "before_bits", format),
            self._codes(rows, "after_bits", format),
            layer.part,
            torch.tensor(masks) if masked else None,
        )

    def _activations(
        self, rows: pd.DataFrame, read: LayerFaults, layer: Layer, images: int | None
    ) -> ActivationFaults:
        image = self._numbers(rows, IMAGE, images or 1 << 62, "images")
        by_image = {number: np.flatnonzero(image == number) for number in np.unique(image)}
        nowhere = np.empty(0, dtype=np.int64)

        def sites(image: int) -> NDArray[np.int64]:
            return read.index.numpy()[by_image.get(image, nowhere)]

        def rule(
            image: int, codes: Tensor, scale: Tensor | None, output: Tensor
        ) -> tuple[Tensor, Tensor | None]:
            at = torch.from_numpy(by_image[image])
            return read.after[at], None if read.bits is None else read.bits[at]

        return ActivationFaults(layer, sites, rule)

    def _check_memory(self, rows: pd.DataFrame, read: LayerFaults, memory: Memory) -> None:
        here = hexadecimals(memory.codes(read.layer, read.index))
        for line, listed, held in zip(rows.index, rows["before_bits"], here, strict=True):
            if int(listed, 16) != int(held, 16):
                raise self._wrong(
                    line,
                    f"{read.layer} holds {held} at {rows.loc[line, 'index']}, not {listed}: "
                    "the list is of other weights or of another format",
                )

    def _numbers(
        self, rows: pd.DataFrame, column: str, end: int, what: str
    ) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        for line, text in rows[column].items():
            if not text.isdecimal() or int(text) >= end:
                raise self._wrong(
                    line, f"{column} is {text or 'empty'}, and there are {end:,} {what}"
                )
        return rows[column].to_numpy(np.int64)

    def _codes(self, rows: pd.DataFrame, column: str, format: NumberFormat) -> Tensor:
        digits = format.width // 4
        for line, text in rows[column].items():
            if len(text) != digits or not set(text) <= set("0123456789abcdef"):
                raise self._wrong(
                    line,
                    f"{column} is {text or 'empty'}, not {digits} hexadecimal digits "
                    f"as in format={format.name}",
                )
        unsigned = np.dtype(f"u{format.width // 8}")
        codes = np.array([int(text, 16) for text in rows[column]], unsigned)
        return torch.from_numpy(codes.view(f"i{format.width // 8}")).view(DTYPES[format.name])

    def _mask(self, line: Hashable, bits: str, format: NumberFormat) -> int:
        numbers = bits.split()
        if not all(number.isdecimal() and int(number) < format.width for number in numbers):
            raise self._wrong(
                line,
                f"{BITS} is {bits}, not bit numbers of {format.name} separated by spaces",
            )
        return sum(1 << int(number) for number in numbers)

    def _wrong(self, line: Hashable, why: str) -> UserError:
        return UserError(f"{self.source}, line {line}: {why}")
