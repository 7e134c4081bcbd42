"""Parts of a sweep that are run separately and analysed together."""

import re
from collections.abc import Sequence
from typing import TypeVar

from resilience.system.errors import UserError

T = TypeVar("T")


def share(trials: Sequence[T], shard: str | None) -> Sequence[T]:
    """The trials of a shard: `3/8` is the third of eight, None is all of them.

    Shards are disjoint, cover all trials, and differ in size by at most one trial.

    Raises
    ------
    UserError
        If the shard is not of the form I/N with I from 1 to N.
    """
    if shard is None:
        return trials
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"shard must be I/N with I from 1 to N, such as 3/8, got {shard!r}")
    number, shards = int(match[1]), int(match[2])
    return trials[len(trials) * (number - 1) // shards : len(trials) * number // shards]
