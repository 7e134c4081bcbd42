"""Files of results: whole, or noticed."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from resilience.results.record import (
    DamagedResultError,
    Result,
    exact_faults,
    find_results,
    read_result,
    read_whole_result,
    write_result,
)
from resilience.system.atomic import replacing
from resilience.system.hashing import canonical_json, digest

CSV = "layer,index\nfeatures.0,3\n"
RESULT = Result(
    trial={"model": "vgg19", "frate": 1e-5, "replica": 0},
    parameters={"perturb": {"low": -1.0}},
    fingerprint="f" * 64,
    faults={"population": 100, "count": 1, "by_layer": {"features.0": 1}},
    golden={"images": 10, "top1_error": 0.1},
    corrupted={"images": 10, "top1_error": 0.2, "mean_cross_entropy": None},
    provenance={"seconds": 1.5},
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_result(tmp_path / "a", RESULT, CSV)
    result = read_result(tmp_path / "a" / "result.json")
    assert result.trial == RESULT.trial
    assert result.corrupted == RESULT.corrupted
    assert (tmp_path / "a" / "faults.csv").read_text() == CSV
    assert result.faults["sha256"] == hashlib.sha256(CSV.encode()).hexdigest()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["faults.csv", "result.json"]
    assert find_results(tmp_path) == [tmp_path / "a" / "result.json"]


def test_draws_are_read_as_they_were_written(tmp_path: Path) -> None:
    draws = [{"draw": 0, "layer": "conv1", "bit": None, "sdc_rate": 0.5}]
    write_result(tmp_path, dataclasses.replace(RESULT, draws=draws), CSV)
    assert read_result(tmp_path / "result.json").draws == draws


def test_a_result_without_draws_is_what_it_was_before_there_were_any(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    document = json.loads((tmp_path / "result.json").read_text())
    assert "draws" not in document
    assert document["sha256"] == "213e6a017d9cdb45220795c2081eb31104f14e1d6ade4d0140cf261ade0bd180"
    assert len(read_result(tmp_path / "result.json").draws) == 0


@pytest.mark.parametrize(
    ("frate", "parameters", "count"),
    [
        (1e-5, {}, None), (0.0, {}, None), (None, {"faults": {"count": 3}}, 3),
        (None, {"faults": {"from": "f" * 64}}, 7),
    ],
)  # fmt: skip
def test_exact_numbers_of_faults_are_those_asked_for_or_listed(
    frate: float | None, parameters: dict[str, object], count: int | None
) -> None:
    assert exact_faults({"frate": frate}, parameters, {"count": 7}) == count


def test_its_sha256_is_that_of_all_the_rest(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    document = json.loads((tmp_path / "result.json").read_text())
    claimed = document.pop("sha256")
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert claimed == hashlib.sha256(canonical.encode()).hexdigest()
    assert document["schema"] == 1


def test_a_result_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    path = tmp_path / "result.json"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is a line's end, which means nothing
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedResultError):
            read_result(path)


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    path = tmp_path / "result.json"
    path.write_text(path.read_text().replace('"top1_error": 0.2', '"top1_error": 0.1'))
    with pytest.raises(DamagedResultError, match="does not agree with its own sha256"):
        read_result(path)


def test_faults_cut_anywhere_or_changed_are_noticed(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    path, faults = tmp_path / "result.json", tmp_path / "faults.csv"
    assert read_whole_result(path) == read_result(path)
    whole = faults.read_bytes()
    for length in range(len(whole)):
        faults.write_bytes(whole[:length])
        with pytest.raises(DamagedResultError, match="does not agree with the sha256"):
            read_whole_result(path)
    for position in range(len(whole)):
        faults.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(DamagedResultError):
            read_whole_result(path)
    faults.unlink()
    with pytest.raises(DamagedResultError, match=r"faults\.csv is missing"):
        read_whole_result(path)


def test_a_flipped_bit_anywhere_is_noticed_or_means_nothing(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, CSV)
    path = tmp_path / "result.json"
    whole, meant = path.read_bytes(), read_result(path)
    for position in range(len(whole)):
        for bit in (1, 4, 32, 128):
            flipped = bytes([whole[position] ^ bit])
            path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
            try:
                assert read_result(path) == meant
            except DamagedResultError:
                continue


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 2}', "null"])
def test_other_json_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(DamagedResultError, match="not a result of schema 1"):
        read_result(tmp_path / "result.json")


def test_what_json_can_not_say_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    broken = dataclasses.replace(RESULT, golden={"top1_error": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(tmp_path / "a", broken, CSV)
    assert not (tmp_path / "a").exists()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_canonical_json_does_not_depend_on_order() -> None:
    assert canonical_json({"b": 1e-5, "a": [1, None]}) == '{"a":[1,null],"b":1e-05}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
