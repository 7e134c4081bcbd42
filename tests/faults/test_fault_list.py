"""Lists of faults: what one trial wrote, another one injects, and what does not fit is refused."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial
from resilience.faults.bit_perturbations import BitFlip
from resilience.faults.fault_file import read_list
from resilience.faults.fault_list import FaultList
from resilience.faults.perturbations import Constant, Gaussian, Random
from resilience.faults.population.sites import Uniform
from resilience.trials.workloads import ConfiguredTrial
from tests.faulty import faulty_trial, run_trial

EVERYWHERE = Uniform(part=("weights", "biases", "norms", "activations", "inputs"))
TRANSIENT = Uniform(part=("weights", "activations", "inputs"), duration="transient")


def listing(text: str, **settings: Any) -> ConfiguredTrial:
    return faulty_trial(settings=settings, plan=read_list(text, "faults.csv"))


CASES = [
    (Uniform(), Random(), "float32"),
    (EVERYWHERE, BitFlip("any", 2), "float32"),
    (TRANSIENT, Gaussian(2.0), "bfloat16"),
    (TRANSIENT, BitFlip("any"), "int8"),
    (Uniform(structure="channel"), Constant(float("nan")), "float16"),
]


@pytest.mark.parametrize(("sites", "perturb", "format"), CASES)
@pytest.mark.parametrize("draws", [1, 3])
def test_a_list_gives_the_same_figures_again(
    sites: Uniform, perturb: Any, format: str, draws: int
) -> None:
    trial = faulty_trial(sites, perturb, {"format": format}, faults=40, draws=draws)
    if sites.structure == "channel":
        trial = faulty_trial(sites, perturb, {"format": format}, faults=4, draws=draws)
    result, text = run_trial(trial)
    again, same_text = run_trial(listing(text, format=format))
    assert same_text == text
    assert again.corrupted == result.corrupted
    figures = result.corrupted.keys()
    for one, other in zip(result.draws, again.draws, strict=True):
        assert {name: one[name] for name in figures} == {name: other[name] for name in figures}


def test_a_list_says_what_it_is_in_results() -> None:
    trial = listing(run_trial(faulty_trial())[1])
    assert isinstance(trial.plan, FaultList)
    assert (trial.factors()["frate"], trial.parameters()["faults"]) == (
        None,
        {"from": trial.plan.sha256},
    )


def struck(text: str) -> list[tuple[str, str, str]]:
    return [
        (row["layer"], row["index"], row["after_bits"]) for row in csv.DictReader(io.StringIO(text))
    ]


def test_lists_of_other_layers_of_the_same_part_are_both_injected(tmp_path: Path) -> None:
    both = run_trial(faulty_trial(Uniform(part="activations"), Constant(1e9), faults=40))[1]
    header, *lines = both.splitlines(keepends=True)
    texts = [
        header + "".join(line for line in lines if line.startswith(f"{layer}."))
        for layer in ("stem", "down")
    ]
    for text in texts:
        assert struck(run_trial(listing(text))[1]) == struck(text)

    files = [tmp_path / f"{number}.csv" for number in range(2)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    built = [build_trial(compose_trial([f"faults_from={file}"])) for file in files]
    assert built[0].plan.exposing != built[1].plan.exposing
    assert built[0].plan.changed() != built[1].plan.changed()


@pytest.fixture(scope="module")
def text() -> str:
    return run_trial(faulty_trial(Uniform(part=("weights", "activations")), faults=30))[1]


def altered(text: str, line: int, **values: str) -> str:
    """The same list with other values in one line."""
    rows = list(csv.DictReader(io.StringIO(text)))
    rows[line - 2] |= values
    written = io.StringIO()
    writer = csv.DictWriter(written, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"layer": "stam"}, "line 3: this network has no layer stam; near: stem"),
        ({"part": "biases"}, "line 3: .* belongs to the weights, not the biases"),
        ({"index": "99999"}, "line 3: index is 99999, and there are .* elements of"),
        ({"index": "-1"}, "line 3: index is -1"),
        ({"before_bits": "00000000"}, "line 3: .* holds .*, not 00000000: the list is of other"),
        ({"before_bits": "0000"}, "line 3: before_bits is 0000, not 8 hexadecimal digits"),
        ({"after_bits": "0000000g"}, "line 3: after_bits is 0000000g, not 8 hexadecimal"),
    ],
)
def test_the_first_fault_that_does_not_fit_is_named(
    text: str, values: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run_trial(listing(altered(text, 3, **values)))


def test_images_beyond_the_last_are_refused(text: str) -> None:
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "activations" in row)
    with pytest.raises(ValueError, match=f"line {line}: image is 60, and there are 60 images"):
        run_trial(listing(altered(text, line, image="60")))


def test_a_site_that_is_listed_twice_is_refused(text: str) -> None:
    lines = text.splitlines(keepends=True)
    twice = "".join([*lines[:2], lines[1], *lines[2:]])
    with pytest.raises(ValueError, match="line 3: this site is listed twice"):
        run_trial(listing(twice))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("draw", "x", "line 2: draw is x, not a number"),
        ("bits", "99", "line 2: bits is 99, not bit numbers of float32"),
        ("bits", "one", "line 2: bits is one, not bit numbers of float32"),
    ],
)
def test_further_columns_are_checked(column: str, value: str, said: str) -> None:
    lines = run_trial(faulty_trial(faults=1))[1].splitlines()
    with pytest.raises(ValueError, match=said):
        run_trial(listing(f"{lines[0]},{column}\n{lines[1]},{value}\n"))


def test_a_list_of_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not 4 hexadecimal digits as in format=float16"):
        run_trial(listing(text, format="float16"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "faults.csv can't be read as CSV"),
        ("layer,index\nstem,1\n", "has no column before_bits and after_bits"),
        ("layer,index,before_bits,after_bits\n", "lists no faults"),
        ("layer,index,before_bits,after_bits\nstem,1,0,0,0\n", "lines that are longer than its"),
    ],
)
def test_what_is_no_list_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_list(text, "faults.csv")
