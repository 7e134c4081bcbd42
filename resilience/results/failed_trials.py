"""The record that a failed trial leaves: its factors, and why it failed."""

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resilience.results.record import FAILURE_FILE, RESULT_FILE
from resilience.system.atomic import replacing


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that failed.

    Attributes
    ----------
    directory
        Directory of the trial.
    overrides
        Overrides that the trial was composed from; empty if unknown.
    reason
        Why it failed, in one line.
    trial
        Factors of the trial, as in a result; empty if unknown.
    """

    directory: Path
    overrides: tuple[str, ...]
    reason: str
    trial: Mapping[str, Any] = field(default_factory=dict)


def write_failure(
    directory: Path,
    factors: Mapping[str, Any],
    overrides: Sequence[str],
    error: Exception,
    reason: str,
) -> None:
    """Write `failure.json`, whole or not at all."""
    document = {
        "trial": dict(factors),
        "reason": reason,
        "overrides": list(overrides),
        "traceback": "".join(traceback.format_exception(error)),
    }
    with replacing(directory / FAILURE_FILE) as path:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def find_failures(directory: Path) -> list[Failure]:
    """Trials below a directory that failed and have no result, sorted by path.

    A damaged `failure.json` gives a failure whose reason says so.
    """
    paths = sorted(directory.rglob(FAILURE_FILE))
    return [_read(path) for path in paths if not path.with_name(RESULT_FILE).exists()]


def _read(path: Path) -> Failure:
    try:
        document = json.loads(path.read_bytes())
        trial = dict(document.get("trial", {}))
        if trial.get("frate") is not None:
            trial["frate"] = float(trial["frate"])
        overrides = tuple(document.get("overrides", ()))
        return Failure(path.parent, overrides, _one_line(document["reason"]), trial)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        return Failure(path.parent, (), f"{FAILURE_FILE} is damaged: {_one_line(error)}")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
