"""Results collected from campaign directories, and the problems found on the way."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resilience.analysis.read.draws import draw_rows, format_of
from resilience.analysis.tables import UnfitObservationsError
from resilience.results.failed_trials import find_failures
from resilience.results.metrics_table import METRICS
from resilience.results.record import (
    RESULT_FILE,
    DamagedResultError,
    Result,
    exact_faults,
    find_results,
    read_result,
)
from resilience.system.hashing import canonical_json

LABELS = ("model", "dataset", "sites", "perturb", "seed", "replica")
"""Factors that identify a trial, besides its level."""

GOLDEN_METRICS = tuple(metric.name for metric in METRICS if metric.golden)
"""Metrics of the golden run, kept beside those of each trial."""

Problem = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows of `trials.csv`, including trials of rate 0, and what was found with them.

    Attributes
    ----------
    rows
        One mapping per result, without derived columns.
    draws
        One mapping per draw of faults.
    orders
        Lists of struck layers by model, each list in network order.
    failed
        Factors of the trials that failed.
    problems
        Path, kind and reason.
    provenance
        `campaigns`, `results`, `draws`, `weights_sha256` by model, `images_sha256` by dataset and
        model, and the distinct values of every parameter and every other provenance entry.
    """

    rows: Sequence[Mapping[str, Any]]
    draws: Sequence[Mapping[str, Any]]
    orders: Mapping[str, set[tuple[str, ...]]]
    failed: Sequence[Mapping[str, Any]]
    problems: Sequence[Problem]
    provenance: Mapping[str, Any]


def gather(paths: Sequence[Path]) -> Gathered:
    """Read all results below the given directories.

    Raises
    ------
    UnfitObservationsError
        If a path is not a directory or holds no readable result, or if results of one model
        differ in their weights or images.
    """
    gathering = _Gathering()
    for directory in paths:
        if not directory.is_dir():
            raise UnfitObservationsError(f"{directory} is not a directory")
        readable = False
        campaign = directory.resolve().name
        for path in find_results(directory):
            try:
                gathering.add(read_result(path), campaign, str(path))
                readable = True
            except (DamagedResultError, KeyError, TypeError, OSError) as error:
                gathering.problems.append((str(path), "damaged", _one_line(error)))
        for failure in find_failures(directory):
            gathering.failed.append(failure.trial)
            gathering.problems.append((str(failure.directory), "failed", failure.reason))
        if not readable:
            raise UnfitObservationsError(f"no readable {RESULT_FILE} below {directory}")
    return gathering.gathered()


def gather_results(results: Iterable[Result]) -> Gathered:
    """Gather results that were never written to files.

    Raises
    ------
    UnfitObservationsError
        If results of one model differ in their weights or images.
    """
    gathering = _Gathering()
    for number, result in enumerate(results):
        gathering.add(result, "", f"result {number}")
    return gathering.gathered()


class _Gathering:
    """Results as they come."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.draws: list[Mapping[str, Any]] = []
        self.orders: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self.problems: list[Problem] = []
        self.failed: list[Mapping[str, Any]] = []
        self._seen: dict[str, str] = {}
        self._provenance = _Provenance()

    def add(self, result: Result, campaign: str, source: str) -> None:
        """Take a result, unless there is one of the same trial already."""
        row, drawn = _row(campaign, result), list(draw_rows(result))
        first = self._seen.setdefault(_identity(result), source)
        if first != source:
            self.problems.append((source, "duplicate", f"the same trial as {first}"))
            return
        self.rows.append(row)
        self.draws.extend(drawn)
        self.orders[result.trial["model"]].add(tuple(result.faults["by_layer"]))
        self._provenance.add(campaign, result, len(drawn))

    def gathered(self) -> Gathered:
        problems = [*self.problems, *self._provenance.mixed()]
        return Gathered(
            *(self.rows, self.draws, self.orders, self.failed, problems),
            self._provenance.summary(),
        )


def _identity(result: Result) -> str:
    """Text that is equal for results of the same faults."""
    trial = dict(result.trial)
    if "from" in result.parameters.get("faults", {}):  # a list, the same in every replica
        del trial["replica"], trial["seed"]
    return canonical_json([trial, result.parameters])


def _row(campaign: str, result: Result) -> dict[str, Any]:
    trial = result.trial
    return {
        "kind": "trial",
        "campaign": campaign,
        **{name: trial[name] for name in LABELS},
        "frate": None if trial["frate"] is None else float(trial["frate"]),
        "faults": exact_faults(trial, result.parameters, result.faults),
        **result.corrupted,
        **{f"golden_{name}": result.golden[name] for name in GOLDEN_METRICS},
    }


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


class _Provenance:
    """Collects the distinct values of the results' provenance and parameters."""

    def __init__(self) -> None:
        self.campaigns: list[str] = []
        self.results = 0
        self.draws = 0
        self.weights: dict[str, str] = {}
        self.images: dict[str, str] = {}
        self.constants: defaultdict[str, set[Any]] = defaultdict(set)
        self.by_cell: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        self.parameters: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.other: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.started: list[str] = []
        self.seconds = 0.0

    def add(self, campaign: str, result: Result, draws: int) -> None:
        trial, provenance = result.trial, dict(result.provenance)
        if campaign not in self.campaigns:
            self.campaigns.append(campaign)
        self.results += 1
        self.draws += draws
        _agree(self.weights, "weights", trial["model"], provenance.pop("weights_sha256", None))
        # Preprocessing differs between models, so one dataset gives each model other images.
        seen = f"{trial['dataset']} for {trial['model']}"
        _agree(self.images, "images", seen, provenance.pop("images_sha256", None))
        for name in ("dataset", "sites", "precision"):
            self.constants[name].add(trial.get(name))
        self.constants["format"].add(format_of(result))
        for name, value in result.parameters.items():
            text = canonical_json(value)
            self.parameters[name][text] = value
            if name == "settings":
                text = canonical_json({k: v for k, v in value.items() if k != "format"})
            if name == "faults" and "count" in value:
                continue  # a factor
            self.by_cell[name, trial["model"], trial["perturb"]].add(text)
        self.started.append(str(provenance.pop("started", "")))
        self.seconds += float(provenance.pop("seconds", None) or 0.0)
        for name, value in provenance.items():
            self.other[name][canonical_json(value)] = value

    def mixed(self) -> Iterable[Problem]:
        """Problems for settings that differ among trials of one cell."""
        for name, values in self.constants.items():
            if len(values) > 1:
                listed = ", ".join(sorted(map(str, values)))
                yield "", "mixed", f"trials that differ in {name} are pooled: {listed}"
        for (name, model, perturb), texts in self.by_cell.items():
            if len(texts) > 1 and name not in self.constants:
                listed = ", ".join(sorted(texts))
                yield f"{model}/{perturb}", "mixed", f"trials differ in {name}: {listed}"

    def summary(self) -> dict[str, Any]:
        started = sorted(filter(None, self.started))
        return {
            "campaigns": self.campaigns,
            "results": self.results,
            "draws": self.draws,
            "weights_sha256": dict(sorted(self.weights.items())),
            "images_sha256": dict(sorted(self.images.items())),
            "parameters": {name: list(v.values()) for name, v in sorted(self.parameters.items())},
            "started": started[0] if started else "",
            "last_started": started[-1] if started else "",
            "seconds": self.seconds,
            **{name: list(values.values()) for name, values in sorted(self.other.items())},
        }


def _agree(known: dict[str, str], what: str, name: str, sha256: str | None) -> None:
    """Raise an error if a name is known with another hash."""
    if sha256 is None:
        return
    first = known.setdefault(name, sha256)
    if first != sha256:
        raise UnfitObservationsError(
            f"{name} has two different {what} among the results: sha256 {first} and {sha256}"
        )
