"""The Python API: its page runs as it stands, and so do the examples of its docstrings."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import resilience as rs

PAGE = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
DOCUMENTED = re.findall(r"`(\w+)`\]?(?:\([^)]*\))? \|", PAGE.partition("## A network")[0])

FUNCTIONS = ["find_layers", "draw_faults", "injected", "evaluate", "run", "analyse", "read_faults"]
DOCUMENTED_BY_EXAMPLE = [*FUNCTIONS, "Cell"]


def test_the_page_runs_without_hydra(tmp_path: Path) -> None:
    ending = "\nimport sys; assert 'hydra' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE + ending],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "faults.csv").read_text().startswith("layer,index,before,after")


def test_the_page_names_every_public_function() -> None:
    assert set(FUNCTIONS) <= set(DOCUMENTED)
    assert {name for name in DOCUMENTED if name.islower()} <= set(rs.__all__)


@pytest.mark.parametrize("name", DOCUMENTED_BY_EXAMPLE)
def test_docstrings_state_a_contract_and_their_examples_run(name: str) -> None:
    function = getattr(rs, name)
    assert function.__doc__
    first = function.__doc__.partition("\n")[0]
    assert first.endswith(".")
    assert "Raises" in function.__doc__
    examples = doctest.DocTestFinder().find(function, name, globs={})
    assert any(test.examples for test in examples)
    runner = doctest.DocTestRunner()
    for test in examples:
        runner.run(test)
    assert runner.failures == 0
