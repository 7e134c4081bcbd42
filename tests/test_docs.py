"""What the documentation of faults shows composes, and its perturbation runs."""

import re
import shlex
from pathlib import Path

import pytest

from resilience.config.build import build_trial
from resilience.config.overrides import compose_trial, rates_as_choices
from resilience.results.record import find_results, read_result
from tests.test_main import run
from tests.tiny import TINY

FAULTS = (Path(__file__).parents[1] / "docs/faults.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ +python -m resilience ((?!-m).+)$", FAULTS, re.MULTILINE)
CELLS = re.findall(r"\| `((?:perturb|sites)[.=][^`]*)` \|$", FAULTS, re.MULTILINE)


def test_every_choice_has_an_example() -> None:
    perturbations = (Path(__file__).parents[1] / "conf/perturb").glob("*.yaml")
    for choice in (*(path.stem for path in perturbations), "perturb._target_"):
        assert any(choice in cell for cell in CELLS), choice


@pytest.mark.parametrize(
    "example", [*CELLS, *(command for command in COMMANDS if "experiment=" not in command)]
)
def test_examples_compose(example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(re.findall(r"# mine.py\n(.*?)```", FAULTS, re.DOTALL)[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    if "faults_from" in example:
        listed = tmp_path / "faults.csv"
        listed.write_text("layer,index,before_bits,after_bits\nconv1,0,00000000,00000000\n")
        example = example.replace("path/to/faults.csv", str(listed))
    trial = build_trial(compose_trial(rates_as_choices(shlex.split(example))))
    assert trial.parameters()


def test_a_perturbation_of_ones_own(tmp_path: Path) -> None:
    (code,) = re.findall(r"# mine.py\n(.*?)```", FAULTS, re.DOTALL)
    assert len(code.strip().splitlines()) == 5
    (tmp_path / "mine.py").write_text(code)
    root = str(Path(__file__).parents[1])
    done = run(
        [*TINY, "perturb._target_=mine.Jitter", "sites=uniform", "faults=9"],
        tmp_path,
        PYTHONPATH=f".:{root}",
    )
    assert done.returncode == 0, done.stderr
    (path,) = find_results(tmp_path)
    assert read_result(path).trial["perturb"] == "jitter"
