"""Building tables from rows, and writing levels and cells as the tables do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def tabulate(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Table of rows; a missing number becomes NaN, a missing decision or note an empty string."""
    texts = {name: "" for name in ("decision", "note") if name in columns}
    return pd.DataFrame([{**texts, **line} for line in lines], columns=list(columns))


def by_response(table: pd.DataFrame, responses: Sequence[str]) -> pd.DataFrame:
    """Sort by response in the given order, keeping the order within each."""
    place = table["response"].map({name: i for i, name in enumerate(responses)})
    return table.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


def text(value: object) -> str:
    """Write a level as the CSV tables do, with Python's exponents: 1e-05."""
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def listed(values: Iterable[object]) -> str:
    """Write levels separated by commas."""
    return ", ".join(map(text, values))


def named(values: Mapping[str, Any]) -> str:
    """Write a cell: model=vgg19, frate=1e-05."""
    return ", ".join(f"{name}={text(value)}" for name, value in values.items())
