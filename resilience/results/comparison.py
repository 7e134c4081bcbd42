"""Comparison of a trial that was run again with its recorded result."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from resilience.results.record import FAULTS_FILE, Result

CROSS_ENTROPY_TOLERANCE = 1e-5
"""Relative difference allowed between processors, devices and libraries; counts must be equal."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that differs from the recorded one."""

    what: str
    was: object
    now: object

    def __str__(self) -> str:
        return f"{self.what} was {_shown(self.was)}, is {_shown(self.now)}"


def machine_differences(was: Result, now: Result) -> list[Difference]:
    """Differences between this machine and the trial's that may change the last digits."""
    return _differences(_machine(was), _machine(now))


def workload_differences(was: Result, now: Result) -> list[Difference]:
    """Weights and images that differ, in which case nothing else can be expected to agree."""
    names = ("weights_sha256", "images_sha256")
    before, after = ({name: r.provenance[name] for name in names} for r in (was, now))
    return _differences(before, after)


def setting_differences(was: Result, now: Result) -> list[Difference]:
    """Factors and options that differ, among those that the result records."""
    before, after = (
        {"trial": r.trial, "parameters": r.parameters}
        | {name: r.provenance[name] for name in ("batch_size", "preprocessing")}
        for r in (was, now)
    )
    return _differences(before, after)


def fault_differences(was: Result, was_csv: str, now: Result, now_csv: str) -> list[Difference]:
    """Faults that differ: in the result's summary, and in its `faults.csv` line by line."""
    sha256 = hashlib.sha256(now_csv.encode()).hexdigest()
    lines = zip_longest(was_csv.splitlines(), now_csv.splitlines())
    return [
        *_differences(was.faults, {**now.faults, "sha256": sha256}, "faults"),
        *(
            Difference(f"{FAULTS_FILE} line {number}", before, after)
            for number, (before, after) in enumerate(lines, start=1)
            if before != after
        ),
    ]


def figure_differences(was: Result, now: Result, exact: bool) -> list[Difference]:
    """Metrics that differ.

    Parameters
    ----------
    exact
        Whether all must be equal; otherwise cross-entropies may have a relative difference of 1e-5.
    """
    before, after = (
        {"golden": r.golden, "corrupted": r.corrupted}
        | {f"draw {number}": draw for number, draw in enumerate(r.draws)}
        for r in (was, now)
    )
    return [
        difference
        for difference in _differences(before, after)
        if exact
        or not difference.what.endswith("mean_cross_entropy")
        or not _close(difference.was, difference.now)
    ]


def _machine(result: Result) -> dict[str, Any]:
    found = result.provenance
    return {
        "versions": found["versions"],
        "processor": found["machine"]["processor"],
        "device": found["device"].partition(":")[0],
        "device_name": found["device_name"],
        "threads": found["threads"],
    }


def _differences(
    was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> list[Difference]:
    """Compare what was recorded; fields that only the new run has are ignored."""
    before, after = dict(_flat(_as_json(was), prefix)), dict(_flat(_as_json(now), prefix))
    return [
        Difference(name, value, after.get(name))
        for name, value in before.items()
        if value != after.get(name)
    ]


def _as_json(value: Mapping[str, Any]) -> Any:
    """A value as read back from a result file: tuples become lists."""
    return json.loads(json.dumps(value))


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _close(was: object, now: object) -> bool:
    numbers = isinstance(was, float) and isinstance(now, float)
    return numbers and math.isclose(was, now, rel_tol=CROSS_ENTROPY_TOLERANCE)  # type: ignore


def _shown(value: object) -> str:
    return "missing" if value is None else str(value)
