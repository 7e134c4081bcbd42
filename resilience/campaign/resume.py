"""What a campaign already has, and whether more trials may join it."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resilience.results.record import (
    FAULTS_FILE,
    DamagedResultError,
    Result,
    find_results,
    read_whole_result,
)
from resilience.system.atomic import set_aside
from resilience.system.errors import UserError
from resilience.system.hashing import canonical_json, identity_digest

if TYPE_CHECKING:  # torch takes seconds to import, and a new campaign does not need it here
    from resilience.trials.workloads import ConfiguredTrial

log = logging.getLogger("resilience")

Identity = Mapping[str, Any]

_WITHIN = {
    "model": ("model", "dataset"),
    "dataset": ("dataset",),
    "sites": ("sites",),
    "perturb": ("perturb",),
}
"""Factors that the options in each section of a trial's parameters belong to."""

_NOT_SET = "not set"
"""Value of a setting that a trial does not have."""


class MixedCampaignError(UserError):
    """Trials that must not join a campaign's results."""


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """An option of a trial: its name, and the context in which it must not change.

    Attributes
    ----------
    context
        The section of the parameters, and the values of the factors that it applies to.
    """

    context: tuple[str, ...]
    name: str


def read_campaign(directory: Path) -> list[Result]:
    """The intact results of a campaign; damaged ones are moved aside with a warning."""
    results = []
    for path in find_results(directory):
        try:
            results.append(read_whole_result(path))
        except DamagedResultError as error:
            aside = set_aside(path)
            faults = path.with_name(FAULTS_FILE)
            if faults.exists():
                set_aside(faults)
            log.warning("%s; moved aside as %s", error, aside.name)
    return results


def finished(
    trials: Sequence["ConfiguredTrial"],
    results: Sequence[Result],
    identity: Callable[["ConfiguredTrial"], Identity],
) -> list[bool]:
    """Whether each trial has a result.

    Parameters
    ----------
    identity
        Everything that a trial's numbers depend on, including the hashes of weights and images.
        Called for trials that have a result, and for one trial of each other model that has
        results.

    Raises
    ------
    MixedCampaignError
        If trials would mix with results of other settings, weights, images or program versions.
    """
    _refuse_other_settings(trials, results)
    _warn_of_other_versions(results)
    known = {_key(result.trial, result.parameters): result for result in results}
    unchecked = {_workload(result.trial): result for result in results}
    found = []
    for trial in trials:
        factors = trial.factors()
        result = known.get(_key(factors, trial.parameters()))
        found.append(result is not None)
        # Where a model has results, checking one of its trials without a result covers them all.
        reference = unchecked.pop(_workload(factors), None)
        if result is None and reference is None:
            continue
        now = identity(trial)
        _refuse_other_workload(result or reference, now)
        if result is not None and identity_digest(now) != result.fingerprint:
            raise MixedCampaignError(
                f"the campaign has a result for {trial.model.name} from another version of the "
                "program, which draws different faults or computes differently; start a new one"
            )
    return found


def _key(factors: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    return canonical_json([factors, parameters])


def _workload(factors: Mapping[str, Any]) -> tuple[str, str]:
    return factors["model"], factors["dataset"]


def _refuse_other_settings(trials: Sequence["ConfiguredTrial"], results: Sequence[Result]) -> None:
    """Raise an error for settings whose value differs between the results and now.

    Swept settings differ on purpose, except those of a model's weights or of images: results of
    one model that differ in these can't be analysed together.
    """
    before = _values([(result.trial, result.parameters) for result in results])
    now = _values([(trial.factors(), trial.parameters()) for trial in trials])
    contexts = {setting.context for setting in before} & {setting.context for setting in now}
    differences = []
    for setting in sorted(before.keys() | now.keys()):
        there, here = before.get(setting, {_NOT_SET}), now.get(setting, {_NOT_SET})
        swept = len(here) > 1 and setting.context[:1] not in (("model",), ("dataset",))
        empty = there | here <= {"null", _NOT_SET}
        comparable = setting.context in contexts and len(there) == 1
        if comparable and not swept and not empty and here - there:
            others = ", ".join(sorted(here - there))
            differences.append(f"{setting.name} was {min(there)}, is now {others}")
    if differences:
        raise MixedCampaignError(
            f"the campaign has results with different settings: {'; '.join(differences)}; "
            "start a new campaign, or use the settings of this one"
        )


def _values(
    trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> dict[Setting, set[str]]:
    """The values of each setting, as JSON, over the trials that have its context.

    Parameters
    ----------
    trials
        Factors and parameters of each trial.
    """
    settings = [
        {setting: canonical_json(value) for setting, value in _settings(*trial)} for trial in trials
    ]
    names = defaultdict(set)
    for of_trial in settings:
        for setting in of_trial:
            names[setting.context].add(setting)
    values: defaultdict[Setting, set[str]] = defaultdict(set)
    for of_trial in settings:
        for context in {setting.context for setting in of_trial}:
            for setting in names[context]:
                values[setting].add(of_trial.get(setting, _NOT_SET))
    return values


def _settings(
    factors: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[tuple[Setting, Any]]:
    """Everything that the analysis assumes to be equal in the trials that it compares."""
    for name in ("dataset", "sites", "precision"):
        yield Setting((), name), factors[name]
    yield Setting((), "draws"), parameters.get("draws")
    for section, options in parameters.items():
        if section in ("draws", "faults"):
            continue  # an exact number of faults is a factor, like the rate that it replaces
        context = (section, *(str(factors[name]) for name in _WITHIN.get(section, ())))
        for name, value in _flat(section, options):
            yield Setting(context, name), value


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value under dotted names; a mapping itself counts as set, whatever it contains."""
    if isinstance(value, Mapping):
        yield name, None
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def _refuse_other_workload(result: Result | None, now: Identity) -> None:
    """Raise an error if a result's model, images or arithmetic differ from now, saying how."""
    assert result is not None
    there = {**result.provenance, "device": str(result.provenance.get("device")).partition(":")[0]}
    names = {
        "weights": ("weights_sha256", "weights of {model} (sha256)"),
        "images": ("images_sha256", "images of {dataset} for {model} (sha256)"),
        "preprocessing": ("preprocessing", "preprocessing of {model}"),
        "batch_size": ("batch_size", "batch_size"),
        "device": ("device", "device"),
    }
    for name, (key, words) in names.items():
        before, after = canonical_json(there.get(key)), canonical_json(now[name])
        if before != after:
            what = words.format_map(result.trial)
            raise MixedCampaignError(
                f"the campaign has results with different {what}: {before} before, {after} now; "
                "start a new campaign, or use the settings of this one"
            )


def _warn_of_other_versions(results: Sequence[Result]) -> None:
    here = version("torch")
    made_with = {str(result.provenance.get("versions", {}).get("torch")) for result in results}
    others = made_with - {here}
    if others:
        log.warning(
            "existing results of this campaign used torch %s, new ones use %s: "
            "figures may differ in their last digits",
            ", ".join(sorted(others)),
            here,
        )
