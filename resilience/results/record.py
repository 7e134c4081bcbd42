"""The result of a trial, and the JSON file that stores it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resilience.system.atomic import replacing
from resilience.system.errors import UserError
from resilience.system.former_names import in_present_names
from resilience.system.hashing import digest

SCHEMA = 1
RESULT_FILE = "result.json"
FAULTS_FILE = "faults.csv"
FAILURE_FILE = "failure.json"
"""Written by a failed trial in place of a result."""


class DamagedResultError(UserError):
    """A result file that differs from what its trial wrote."""


@dataclass(frozen=True, slots=True)
class Result:
    """A trial and its outcome: the sections of `result.json`.

    Attributes
    ----------
    trial
        The factors: model, dataset, sites, perturb, frate, replica, seed, precision. `frate` is
        None where the number of faults is exact and in `parameters`.
    parameters
        Every option that determines the numbers.
    fingerprint
        sha256 of everything that the numbers depend on.
    faults
        population and count, by_layer {layer: count} in the network's order, sha256 of
        `faults.csv`; for bit faults, how many had no effect.
    golden, corrupted
        Metrics of the golden and the corrupted network, fractions in [0, 1] and nats; means
        over several draws.
    provenance
        Versions, device, hashes of weights and images, date, duration (seconds).
    draws
        One mapping per draw of faults: its number, its layer and bit (None where its faults
        have several), its faults and its metrics. Empty in results that were written without.
    """

    trial: Mapping[str, Any]
    parameters: Mapping[str, Any]
    fingerprint: str
    faults: Mapping[str, Any]
    golden: Mapping[str, Any]
    corrupted: Mapping[str, Any]
    provenance: Mapping[str, Any]
    draws: Sequence[Mapping[str, Any]] = ()


def exact_faults(
    trial: Mapping[str, Any], parameters: Mapping[str, Any], faults: Mapping[str, Any]
) -> int | None:
    """Number of faults per draw, from the sections of a result; None where a rate was given."""
    if trial["frate"] is not None:
        return None
    asked = parameters["faults"]  # a number of faults, or a list of them
    return int(asked["count"] if "count" in asked else faults["count"])


def write_result(directory: Path, result: Result, faults_csv: str) -> None:
    """Write `faults.csv`, then `result.json`, each atomically."""
    faults = faults_csv.encode()
    sections = asdict(result)
    sections["faults"] = {**result.faults, "sha256": hashlib.sha256(faults).hexdigest()}
    if not result.draws:
        del sections["draws"]
    document = {"schema": SCHEMA, **sections}
    document["sha256"] = digest(document)
    with replacing(directory / FAULTS_FILE) as path:
        path.write_bytes(faults)
    with replacing(directory / RESULT_FILE) as path:
        path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_result(path: Path, verified: bool = True) -> Result:
    """Read a `result.json`.

    Parameters
    ----------
    verified
        Whether it must match its own sha256.

    Raises
    ------
    DamagedResultError
        If it is not JSON, has another schema or other sections, or does not match its sha256.
    """
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedResultError(f"{path} is not whole: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DamagedResultError(f"{path} is not a result of schema {SCHEMA}")
    claimed = document.pop("sha256", None)
    if verified and claimed != digest(document):
        raise DamagedResultError(f"{path} does not agree with its own sha256")
    del document["schema"]
    try:
        return Result(**in_present_names(document))
    except TypeError as error:
        raise DamagedResultError(f"{path} has a missing or unknown section: {error}") from error


def read_whole_result(path: Path) -> Result:
    """Read a `result.json`, and verify that the `faults.csv` beside it belongs to it.

    Raises
    ------
    DamagedResultError
        If either differs from what the trial wrote, or `faults.csv` is missing.
    FileNotFoundError
        If `result.json` is missing.
    """
    result = read_result(path)
    faults = path.with_name(FAULTS_FILE)
    try:
        content = faults.read_bytes()
    except FileNotFoundError as error:
        raise DamagedResultError(f"{faults} is missing") from error
    if hashlib.sha256(content).hexdigest() != result.faults["sha256"]:
        raise DamagedResultError(f"{faults} does not agree with the sha256 in {RESULT_FILE}")
    return result


def find_results(directory: Path) -> list[Path]:
    """Paths of all `result.json` files below a directory, sorted."""
    return sorted(directory.rglob(RESULT_FILE))
