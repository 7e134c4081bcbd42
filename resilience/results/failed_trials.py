"""What a trial that failed leaves: its factors, and why."""

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resilience.results.record import FAILURE_FILE, RESULT_FILE
from resilience.system.atomic import replacing


class Failure(NamedTuple):
    """A trial that failed: where, the overrides it was composed from, and why in one line."""

    directory: Path
    overrides: tuple[str, ...]
    reason: str


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
    """Trials below a directory that failed and have no result, in the order of their paths."""
    found = []
    for path in sorted(directory.rglob(FAILURE_FILE)):
        if path.with_name(RESULT_FILE).exists():
            continue
        try:
            document = json.loads(path.read_bytes())
            overrides, reason = tuple(document.get("overrides", ())), str(document["reason"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            overrides, reason = (), f"{FAILURE_FILE} is not whole: {error}"
        found.append(Failure(path.parent, overrides, reason))
    return found
