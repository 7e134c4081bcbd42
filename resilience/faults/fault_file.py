"""Faults as CSV text: one row for each element, values for people, bits for machines."""

import csv
import io
from collections.abc import Sequence

import torch
from torch import Tensor

from resilience.faults.formats import raw_bits
from resilience.faults.injection import Faults

COLUMNS = ("layer", "index", "before", "after", "before_bits", "after_bits")
PART, BITS, IMAGE, DRAW = FURTHER = ("part", "bits", "image", "draw")
"""Columns that are there where something needs them: faults in other parts than weights, faults of
bits, faults in what passes through a network, several draws."""


def to_csv(draws: Sequence[Sequence[Faults]]) -> str:
    """The faults of every draw as CSV text with a header.

    `before` and `after` are the shortest decimals that give the same value back (of int8 the
    integers that it holds), `before_bits` and `after_bits` hexadecimal: decimals lose the payload
    of a NaN. `bits` are the numbers of the bits that were struck.
    """
    faults = [fault for draw in draws for fault in draw]
    further = {
        PART: any(fault.part != "weights" for fault in faults),
        BITS: any(fault.bits is not None for fault in faults),
        IMAGE: any(fault.image is not None for fault in faults),
        DRAW: len(draws) > 1,
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*COLUMNS, *(name for name in FURTHER if further[name])])
    for number, draw in enumerate(draws):
        for fault in draw:
            columns = {**_columns(fault), DRAW: [number] * len(fault.index)}
            rows.writerows(
                zip(*(of for name, of in columns.items() if further.get(name, True)), strict=True)
            )
    return text.getvalue()


def _columns(fault: Faults) -> dict[str, Sequence[object]]:
    count = len(fault.index)
    return {
        "layer": [fault.layer] * count,
        "index": fault.index.tolist(),
        "before": _decimals(fault.before),
        "after": _decimals(fault.after),
        "before_bits": hexadecimals(fault.before),
        "after_bits": hexadecimals(fault.after),
        PART: [fault.part] * count,
        BITS: [""] * count if fault.bits is None else list(map(_numbers, fault.bits.tolist())),
        IMAGE: [""] * count if fault.image is None else fault.image.tolist(),
    }


def _decimals(values: Tensor) -> list[str]:
    # numpy has no bfloat16, and every one is a float32.
    exact = values.float() if values.dtype == torch.bfloat16 else values
    return [str(value) for value in exact.numpy()]


def hexadecimals(values: Tensor) -> list[str]:
    """The raw bits of values, as many digits as they are wide."""
    digits = 2 * values.element_size()
    mask = (1 << 4 * digits) - 1
    return [f"{bits & mask:0{digits}x}" for bits in raw_bits(values).tolist()]


def _numbers(mask: int) -> str:
    """Numbers of the bits that are set, `3 17`."""
    return " ".join(str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1)
