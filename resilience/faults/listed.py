"""Faults that a file lists, checked against the network that they are to strike."""

import difflib
import hashlib
import io
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from resilience.faults.activations import PassingFaults
from resilience.faults.fault_file import BITS, COLUMNS, DRAW, FURTHER, IMAGE, PART, hexadecimals
from resilience.faults.formats import Format
from resilience.faults.injection import Faults
from resilience.faults.layers import PASSING, Layer
from resilience.faults.memory import Storage
from resilience.faults.sampling import Drawn
from resilience.faults.sites import Population

_NEEDED = ("layer", "index", "before_bits", "after_bits")


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """Faults as `to_csv` writes them; a choice of sites too.

    Attributes
    ----------
    source
        What messages call the list.
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
        """What of a network the list speaks of."""
        return tuple(sorted(set(self.rows[PART])))

    def population(self, layers: Sequence[Layer]) -> Population:
        """The layers that are listed, in their own order.

        Raises
        ------
        ValueError
            For the first that this network has not.
        """
        known = {layer.name: layer for layer in layers}
        for line, name, part in self.rows[["layer", PART]].itertuples(name=None):
            if name not in known:
                near = difflib.get_close_matches(name, known, 3, 0.4)
                hint = f"; near: {', '.join(near)}" if near else ""
                raise self._wrong(line, f"this network has no layer {name}{hint}")
            if known[name].part != part:
                raise self._wrong(line, f"{name} is of the {known[name].part}, not of the {part}")
        listed = set(self.rows["layer"])
        return Population(tuple(layer for layer in layers if layer.name in listed))

    def faults(self, population: Population, storage: Storage, images: int) -> Iterator[Drawn]:
        """The faults of each draw.

        Parameters
        ----------
        population
            The listed layers of this network.
        images
            Number of images that pass through it.

        Raises
        ------
        ValueError
            For the first fault that does not fit: an index beyond the layer, an image beyond the
            last, bits of another format, a site that is listed twice, or a value before that the
            network's memory does not hold.
        """
        for line, number in self.rows[DRAW].items():
            if not number.isdecimal():
                raise self._wrong(line, f"{DRAW} is {number or 'empty'}, and not a number")
        for _, draw in self.rows.groupby(self.rows[DRAW].map(int), sort=True):
            stored, passing, by_layer = [], [], {}
            for layer in population.layers:
                rows = draw[draw["layer"] == layer.name]
                if rows.empty:
                    continue
                by_layer[layer.name] = len(rows)
                read = self._read(rows, layer, storage)
                if layer.part in PASSING:
                    passing.append(self._passing(rows, read, layer, images))
                else:
                    self._check_memory(rows, read, storage)
                    stored.append(read)
            yield Drawn(tuple(stored), tuple(passing), by_layer)

    def _read(self, rows: pd.DataFrame, layer: Layer, storage: Storage) -> Faults:
        """The faults of one layer, in the format that this network has there."""
        passing = layer.part in PASSING
        format = storage.format if passing else storage.format_of(layer.name)
        index = self._numbers(rows, "index", layer.size, f"elements of {layer.name}")
        twice = rows.duplicated(["index", IMAGE])
        if twice.any():
            raise self._wrong(twice.idxmax(), "this site is listed twice")
        masked = (rows[BITS] != "").all()
        masks = [self._mask(line, bits, format) for line, bits in rows[BITS].items()]
        return Faults(
            layer.name,
            torch.from_numpy(index),
            self._codes(rows, "before_bits", format),
            self._codes(rows, "after_bits", format),
            layer.part,
            torch.tensor(masks) if masked else None,
        )

    def _passing(
        self, rows: pd.DataFrame, read: Faults, layer: Layer, images: int
    ) -> PassingFaults:
        image = self._numbers(rows, IMAGE, images, "images")
        by_image = [np.flatnonzero(image == number) for number in range(images)]
        sites = [read.index.numpy()[at] for at in by_image]

        def rule(
            image: int, codes: Tensor, scale: Tensor | None, output: Tensor
        ) -> tuple[Tensor, Tensor | None]:
            at = torch.from_numpy(by_image[image])
            return read.after[at], None if read.bits is None else read.bits[at]

        return PassingFaults(layer, sites, rule)

    def _check_memory(self, rows: pd.DataFrame, read: Faults, storage: Storage) -> None:
        here = hexadecimals(storage.codes(read.layer, read.index))
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

    def _codes(self, rows: pd.DataFrame, column: str, format: Format) -> Tensor:
        digits = format.width // 4
        for line, text in rows[column].items():
            if len(text) != digits or not set(text) <= set("0123456789abcdef"):
                raise self._wrong(
                    line,
                    f"{column} is {text or 'empty'}, and not {digits} hexadecimal digits "
                    f"as of format={format.name}",
                )
        unsigned = np.dtype(f"u{format.width // 8}")
        codes = np.array([int(text, 16) for text in rows[column]], unsigned)
        return torch.from_numpy(codes.view(f"i{format.width // 8}")).view(format.dtype)

    def _mask(self, line: Hashable, bits: str, format: Format) -> int:
        numbers = bits.split()
        if not all(number.isdecimal() and int(number) < format.width for number in numbers):
            raise self._wrong(
                line,
                f"{BITS} is {bits}, and not bit numbers of {format.name} with spaces between",
            )
        return sum(1 << int(number) for number in numbers)

    def _wrong(self, line: Hashable, why: str) -> ValueError:
        return ValueError(f"{self.source}, line {line}: {why}")


def read_list(text: str, source: str) -> Listed:
    """Read the text of a `faults.csv`.

    Raises
    ------
    ValueError
        If it lacks a column, or has no row.
    """
    try:
        rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise ValueError(f"{source} can't be read as CSV: {error}") from error
    if not isinstance(rows.index, pd.RangeIndex):  # pandas takes the first cells for row names
        raise ValueError(f"{source} has lines that are longer than its header")
    lacking = [name for name in _NEEDED if name not in rows]
    if lacking:
        raise ValueError(
            f"{source} has no column {' and '.join(lacking)}; a list of faults has the columns "
            f"{','.join(COLUMNS)}, and where needed {','.join(FURTHER)}"
        )
    if rows.empty:
        raise ValueError(f"{source} lists no faults")
    for name, default in {PART: "weights", BITS: "", IMAGE: "", DRAW: "0"}.items():
        if name not in rows:
            rows[name] = default
    rows.index += 2  # as lines are counted, below the header
    return Listed(source, rows, hashlib.sha256(text.encode()).hexdigest())
