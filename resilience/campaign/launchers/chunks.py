"""Chunks of a sweep: trials that one worker runs, one after another."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from resilience.system.errors import UserError


@dataclass(frozen=True, slots=True)
class Job:
    """One trial of a sweep: its number and its Hydra overrides."""

    number: int
    overrides: tuple[str, ...]


Chunk = tuple[Job, ...]


def chunked(jobs: Sequence[Job], group: str | int) -> list[Chunk]:
    """Jobs grouped into chunks, both in the order of the sweep.

    Parameters
    ----------
    group
        `cell`: all replicas of a cell of the design; `model`: all trials of a model; or a number
        of trials per chunk.

    Raises
    ------
    UserError
        For any other group.
    """
    chunks: dict[Hashable, list[Job]] = {}
    for place, job in enumerate(jobs):
        chunks.setdefault(_chunk_of(place, job, group), []).append(job)
    return [tuple(chunk) for chunk in chunks.values()]


def _chunk_of(place: int, job: Job, group: str | int) -> Hashable:
    if group == "cell":
        return tuple(part for part in job.overrides if _key(part) != "replica")
    if group == "model":
        return tuple(part for part in job.overrides if _key(part).partition(".")[0] == "model")
    if isinstance(group, int) and group > 0:
        return place // group
    raise UserError(f"cluster.group must be cell, model or a number of trials, got {group!r}")


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")
