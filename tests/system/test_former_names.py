"""Places that moved: earlier configurations and results go on."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial
from resilience.results.record import read_result
from resilience.system.former_names import FORMER_NAMES, in_first_names, in_present_names
from resilience.system.hashing import digest, identity_digest

WORDS = st.sampled_from([*FORMER_NAMES, *FORMER_NAMES.values(), "resilience", "other"])
JSON = st.recursive(
    WORDS | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("place", FORMER_NAMES.values())
def test_present_names_are_there(place: str) -> None:
    room, _, name = place.rpartition(".")
    assert getattr(importlib.import_module(room), name)


@given(JSON)
def test_names_go_there_and_back(value: Any) -> None:
    first = in_first_names(value)
    assert in_first_names(in_present_names(first)) == first
    assert in_present_names(first) == in_present_names(value)


@given(JSON)
def test_an_identity_does_not_depend_on_where_code_lives(value: Any) -> None:
    first = in_first_names(value)
    assert identity_digest(value) == identity_digest(first) == digest(first)


@pytest.mark.parametrize("name", ["BitFlip", "StuckAt"])
def test_earlier_targets_still_compose_the_same_trial(name: str) -> None:
    first = f"resilience.bit_perturbations.{name}"
    present = FORMER_NAMES[first]
    one, other = (
        build_trial(compose_trial([f"perturb._target_={place}", "model=resnet18"]))
        for place in (first, present)
    )
    assert one.factors() == other.factors()
    assert one.parameters() == other.parameters()


def test_earlier_results_are_read_in_present_names(tmp_path: Path) -> None:
    """Their own sha256 is that of what was written."""
    sections = ("trial", "faults", "golden", "corrupted", "provenance")
    document: dict[str, Any] = {"schema": 1, "fingerprint": "", **{name: {} for name in sections}}
    document["parameters"] = {"dataset": {"images": {"_target_": "resilience.sources.Digits"}}}
    document["sha256"] = digest(document)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    images = read_result(path).parameters["dataset"]["images"]
    assert images == {"_target_": "resilience.data.Digits"}
