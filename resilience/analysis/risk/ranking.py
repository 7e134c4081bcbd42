"""Vulnerability of layers and bits: how often a draw of faults in each is critical."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resilience.analysis.risk.proportions import bootstrap_interval, wilson_interval
from resilience.number_formats import FORMATS
from resilience.system.errors import UserError

SUBJECT = ("model", "perturb", "format")
"""Columns that identify a network and its faults; layers and bits are ranked within each."""

FIGURES = (
    *("draws", "faults", "critical", "critical_share", "critical_low", "critical_high"),
    *("sdc_rate", "sdc_low", "sdc_high", "due_rate", "due_low", "due_high", "rank", "note"),
)


def vulnerability(
    draws: pd.DataFrame, by: Sequence[str], critical: int, alpha: float, seed: int
) -> pd.DataFrame:
    """Vulnerability of each layer, each bit, or each bit of each layer; one row each.

    A draw of faults is one observation, however many faults and images it has. It is critical if
    at least `critical` correctly classified images silently change their class. Detected
    unrecoverable errors do not count, because a system can handle them. `critical_low` and
    `critical_high` bound Wilson's interval, and `sdc_low` to `due_high` bound percentile intervals
    over resampled draws, all of level 1 - alpha. `faults` is the mean number of faults per draw.
    `rank` 1 has the largest critical share; ties are ranked by mean SDC rate, and remaining ties
    share a rank.

    Parameters
    ----------
    draws
        As in `resilience.analysis.read.draws`; draws whose layer (or bit) is unknown are left out.
    by
        `layer`, `bit`, or both.
    critical
        Number of images, at least 1.

    Returns
    -------
    pandas.DataFrame
        Empty unless a network has two layers (or bits) to compare. Layers are in network order as
        far as it is known.

    Raises
    ------
    UserError
        If `critical` is less than 1.
    """
    if critical < 1:
        raise UserError(f"critical must be at least 1 image, got {critical}")
    fields = ["field"] if "bit" in by else []
    columns = [*SUBJECT, *by, *fields, *FIGURES]
    known = (
        draws.dropna(subset=list(by)) if len(draws) else draws
    )  # an empty frame may lack all columns
    if not any(
        all(len(group[name].unique()) > 1 for name in by) for _, group in _by_subject(known)
    ):
        return pd.DataFrame(columns=columns)
    lines = []
    for place, group in known.groupby([*SUBJECT, *by], sort=False):
        line = dict(zip((*SUBJECT, *by), place, strict=True))
        line["place"] = group["place"].iloc[0] if "layer" in by else 0
        lines.append(line | _figures(group, critical, alpha, seed))
    table = pd.DataFrame(lines)
    count = table["critical"].astype(float)
    table["critical_share"] = count / table["draws"]
    table["critical_low"], table["critical_high"] = wilson_interval(count, table["draws"], alpha)
    if fields:
        table["field"] = list(map(_field, table["format"], table["bit"]))
    order = [*SUBJECT, "place", *(["bit"] if "bit" in by else [])]
    table = table.sort_values(order, kind="stable", ignore_index=True)
    table["rank"] = pd.concat([_ranks(rows) for _, rows in _by_subject(table)])
    whole = ["critical", *(["faults"] if not (table["faults"] % 1).any() else [])]
    return table.astype(dict.fromkeys(whole, "Int64"))[columns]


def subjects(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each network, with a name that distinguishes it from the others."""
    distinguishing = [name for name in SUBJECT if name == "model" or len(table[name].unique()) > 1]
    for values, rows in _by_subject(table):
        named = dict(zip(SUBJECT, values, strict=True))
        yield ", ".join(str(named[name]) for name in distinguishing), rows


def _by_subject(table: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    if len(table):
        yield from table.groupby(list(SUBJECT), sort=False)


def _figures(draws: pd.DataFrame, critical: int, alpha: float, seed: int) -> dict[str, Any]:
    """Figures of one layer or bit, without those that depend on the others."""
    changed = draws["changed_correct"]
    known = bool(changed.notna().all())
    notes = [] if known else ["changed_correct is not known for every draw"]
    line: dict[str, Any] = {
        "draws": len(draws),
        "faults": round(float(draws["faults"].mean()), 12),
        "critical": int((changed >= critical).sum()) if known else None,
    }
    reasons: dict[str, list[str]] = {}
    for name in ("sdc", "due"):
        values = draws[f"{name}_rate"].to_numpy(float)
        low, high, reason = bootstrap_interval(values, alpha, seed)
        # Rounded, so that equal means are equal numbers and share a rank.
        line |= {f"{name}_rate": round(float(values.mean()), 12)}
        line |= {f"{name}_low": low, f"{name}_high": high}
        if reason:
            reasons.setdefault(reason, []).append(f"{name}_rate")
    notes += [f"no interval of {' and '.join(of)}: {why}" for why, of in reasons.items()]
    return line | {"note": "; ".join(notes)}


def _field(number_format: str, bit: int) -> str:
    """Field of a bit; empty if the format is unknown."""
    known = FORMATS.get(number_format)
    return known.field_of(bit) if known else ""


def _ranks(places: pd.DataFrame) -> "pd.Series[int]":
    shares = (-places["critical_share"].astype(float)).fillna(np.inf)
    keys = list(zip(shares, -places["sdc_rate"], strict=True))
    first: dict[tuple[float, float], int] = {}
    for rank, key in enumerate(sorted(keys), start=1):
        first.setdefault(key, rank)
    return pd.Series([first[key] for key in keys], index=places.index)
