"""What a campaign has already, and whether more trials go with it."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from resilience.system.hashing import canonical_json, digest

if TYPE_CHECKING:  # torch takes seconds to import, and a new campaign needs none of it here
    from resilience.trials.trial import Trial

log = logging.getLogger("resilience")

Identity = Mapping[str, Any]
Setting = tuple[tuple[str, ...], str]
"""Factors within which a setting must stay the same, and its name."""

_WITHIN = {
    "model": ("model", "dataset"),
    "dataset": ("dataset",),
    "sites": ("sites",),
    "perturb": ("perturb",),
}
"""Factors that the options of a section of a trial's parameters belong to."""


_UNSET = {"not set"}
"""Values of a setting that trials do not have."""


class MixedCampaignError(ValueError):
    """Trials that must not join the results of a campaign."""


def read_campaign(directory: Path) -> list[Result]:
    """The whole results of a campaign; damaged ones are moved aside, and said aloud."""
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
    trials: Sequence["Trial"], results: Sequence[Result], identity: Callable[["Trial"], Identity]
) -> list[bool]:
    """Whether each trial has a result.

    Parameters
    ----------
    identity
        All that the numbers of a trial depend on, the hashes of weights and images among it. Asked
        for trials that have a result, and for one trial of each other model that has results.

    Raises
    ------
    MixedCampaignError
        If trials would mix with results of other settings, weights or images.
    """
    _refuse_other_settings(trials, results)
    _warn_of_other_versions(results)
    known = {_key(result.trial, result.parameters): result for result in results}
    of_subject = {_subject(result.trial): result for result in results}
    found = []
    for trial in trials:
        result = known.get(_key(trial.factors(), trial.parameters()))
        found.append(result is not None)
        # Of a model with results, one trial without a result tells as much as all of them.
        reference = result or of_subject.pop(_subject(trial.factors()), None)
        if reference is not None:
            of_subject.pop(_subject(trial.factors()), None)
            now = identity(trial)
            _refuse_other_subject(reference, now)
            if result is not None and digest(now) != result.fingerprint:
                raise MixedCampaignError(
                    f"the campaign has a result of {trial.model.name} made with another version "
                    "of the program, which draws other faults or computes otherwise; start "
                    "another campaign"
                )
    return found


def _key(factors: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    return canonical_json([factors, parameters])


def _subject(factors: Mapping[str, Any]) -> tuple[str, str]:
    return factors["model"], factors["dataset"]


def _refuse_other_settings(trials: Sequence["Trial"], results: Sequence[Result]) -> None:
    """Raise an error for settings that have one value in the results and another one now.

    What trials sweep, they sweep on purpose; but not over models' weights, or over images: results
    of one model that differ in these can't be analysed together.
    """
    there = _values(_settings(result.trial, result.parameters) for result in results)
    now = _values(_settings(trial.factors(), trial.parameters()) for trial in trials)
    contexts = {context for context, _ in there} & {context for context, _ in now}
    differences = []
    for setting in sorted(there.keys() | now.keys()):
        context, name = setting
        before, after = there.get(setting, _UNSET), now.get(setting, _UNSET)
        on_purpose = len(after) > 1 and context[:1] not in (("model",), ("dataset",))
        nothing = before | after <= {"null", *_UNSET}
        if context not in contexts or len(before) > 1 or on_purpose or nothing:
            continue
        if other := after - before:
            differences.append(f"{name} is {min(before)} there and {', '.join(sorted(other))} now")
    if differences:
        raise MixedCampaignError(
            f"the campaign has results of other settings: {'; '.join(differences)}; "
            "start another campaign, or run this one as it was"
        )


def _values(settings: Iterable[Iterable[tuple[Setting, Any]]]) -> dict[Setting, set[str]]:
    """What each setting is in trials that have its section; in some of them it may not be set."""
    values: defaultdict[Setting, set[str]] = defaultdict(set)
    times: Counter[Setting] = Counter()
    trials: Counter[tuple[str, ...]] = Counter()
    for of_trial in settings:
        given = {setting: canonical_json(value) for setting, value in of_trial}
        trials.update({context for context, _ in given})
        times.update(given.keys())
        for setting, value in given.items():
            values[setting].add(value)
    for setting, found in values.items():
        if times[setting] < trials[setting[0]]:
            found |= _UNSET
    return values


def _settings(
    factors: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[tuple[Setting, Any]]:
    """Everything that analysis takes for the same in trials that it compares."""
    for name in ("dataset", "sites", "precision"):
        yield ((), name), factors[name]
    yield ((), "draws"), parameters.get("draws")
    for section, options in parameters.items():
        if section in ("draws", "faults"):
            continue  # the latter is a factor, which stands in place of the rate
        context = tuple(str(factors[name]) for name in _WITHIN.get(section, ()))
        for name, value in _flat(section, options):
            yield ((section, *context), name), value


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield name, None  # there, if only as a name for what may be in it
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def _refuse_other_subject(result: Result, now: Identity) -> None:
    """Raise an error that says in what a result's model, images or arithmetic differ from now."""
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
                f"the campaign has results with other {what}: {before} there and {after} now; "
                "start another campaign, or run this one as it was"
            )


def _warn_of_other_versions(results: Sequence[Result]) -> None:
    here = version("torch")
    made_with = {str(result.provenance.get("versions", {}).get("torch")) for result in results}
    others = made_with - {here}
    if others:
        log.warning(
            "results of this campaign were made with torch %s, and more are made with %s: "
            "figures may differ in their last digits",
            ", ".join(sorted(others)),
            here,
        )
