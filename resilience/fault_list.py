"""Faults as CSV text: one row for each, values for people, bits for machines."""

import csv
import io
from collections.abc import Sequence

from torch import Tensor

from resilience.injection import Faults, raw_bits

COLUMNS = ("layer", "index", "before", "after", "before_bits", "after_bits")


def to_csv(faults: Sequence[Faults]) -> str:
    """The faults of all layers as CSV text with a header.

    `before` and `after` are the shortest decimals that give the same value back, `before_bits`
    and `after_bits` hexadecimal: decimals lose the payload of a NaN.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for fault in faults:
        rows.writerows(
            zip(
                [fault.layer] * len(fault.index),
                fault.index.tolist(),
                _decimals(fault.before),
                _decimals(fault.after),
                _hexadecimals(fault.before),
                _hexadecimals(fault.after),
                strict=True,
            )
        )
    return text.getvalue()


def _decimals(values: Tensor) -> list[str]:
    return [str(value) for value in values.numpy()]


def _hexadecimals(values: Tensor) -> list[str]:
    digits = 2 * values.element_size()
    mask = (1 << 4 * digits) - 1
    return [f"{bits & mask:0{digits}x}" for bits in raw_bits(values).tolist()]
