"""Draws of faults, one row each: where they struck, and how predictions changed."""

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from resilience.analysis.tables import UnfitObservationsError
from resilience.results.record import Result

COLUMNS = (
    *("model", "perturb", "format", "seed", "replica", "draw"),
    *("layer", "bit", "faults", "images", "sdc_rate", "due_rate", "changed_correct"),
)
TYPES = {"bit": "Int64", "changed_correct": "Float64"}


def format_of(result: Result) -> str:
    """Number format in which the struck values were stored."""
    settings = result.parameters.get("settings", {})
    return str(settings.get("format", "float32"))


def draw_rows(result: Result) -> Iterator[dict[str, Any]]:
    """Draws of a trial that have faults; a result without draws counts as one draw."""
    names = ("model", "perturb", "seed", "replica")
    trial = {name: result.trial[name] for name in names} | {"format": format_of(result)}
    for draw in result.draws or (_whole(result),):
        if draw["faults"]:
            yield {name: draw[name] if name in draw else trial.get(name) for name in COLUMNS}


def draws_table(
    rows: Sequence[Mapping[str, Any]], orders: Mapping[str, Iterable[Sequence[str]]]
) -> pd.DataFrame:
    """Table of draws with the columns `COLUMNS` and `place`; unknown entries are missing.

    `place` is the position of a layer in its network.

    Parameters
    ----------
    rows
        One mapping per draw.
    orders
        Lists of layers by model, each list in network order.
    """
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    places: dict[tuple[Any, Any], int] = {}
    for model, drawn in table.groupby("model")["layer"]:
        known = [*orders.get(str(model), ()), *([layer] for layer in drawn.dropna())]
        places |= {(model, layer): place for place, layer in enumerate(layer_order(known))}
    table["place"] = pd.Series(list(zip(table["model"], table["layer"], strict=True))).map(places)
    table["layer"] = table["layer"].astype(object)
    return table.astype(TYPES)


def draws_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Table of draws from a frame with the columns `COLUMNS`, and possibly `place`.

    Raises
    ------
    UnfitObservationsError
        If a column is missing.
    """
    absent = [name for name in COLUMNS if name not in frame]
    if absent:
        raise UnfitObservationsError(f"the draws have no column {absent[0]!r}")
    if "place" in frame:
        return frame[[*COLUMNS, "place"]].reset_index(drop=True).astype(TYPES)
    rows = frame[list(COLUMNS)].itertuples(index=False, name=None)
    return draws_table([dict(zip(COLUMNS, row, strict=True)) for row in rows], {})


def layer_order(lists: Iterable[Sequence[str]]) -> list[str]:
    """Merge lists that are parts of one order; ties are in natural order.

    If the lists contradict each other, all layers are in natural order.
    """
    after: dict[str, set[str]] = {}
    for names in set(map(tuple, lists)):
        after |= {name: after.get(name, set()) for name in names}
        for one, other in pairwise(names):
            after[one].add(other)
    waiting = dict.fromkeys(after, 0)
    for others in after.values():
        for name in others:
            waiting[name] += 1
    ready = [(natural(name), name) for name, before in waiting.items() if not before]
    heapq.heapify(ready)
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for other in after[name]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, (natural(other), other))
    return order if len(order) == len(after) else sorted(after, key=natural)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts `features.2` before `features.10`."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts if part)


def _whole(result: Result) -> dict[str, Any]:
    """A result as one draw, whose bit is unknown."""
    layers = list(result.faults["by_layer"])
    return {
        **result.corrupted,
        "draw": 0,
        "layer": layers[0] if len(layers) == 1 else None,
        "bit": None,
        "faults": result.faults["count"],
    }
