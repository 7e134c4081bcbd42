"""Names: those of metrics agree with what trials measure, and rooms hand theirs on."""

import ast
import importlib
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import resilience.analysis
from resilience.analysis.read import draws, table
from resilience.analysis.tables import RESPONSES, label_of
from resilience.results.metrics_table import ERROR_INCREASE, METRICS

PACKAGE = Path(resilience.analysis.__file__).parent
FLOORS = ("tables", "means", "spread", "risk power", "read", "figures", "report", "pipeline")
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
FOLDERS = sorted(str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py"))


def test_metrics_are_those_that_trials_measure() -> None:
    from resilience.metrics import Accuracy, Outcome

    accuracy, outcome = ([each.name for each in fields(kind)] for kind in (Accuracy, Outcome))
    assert [metric.name for metric in METRICS] == outcome
    assert [metric.name for metric in METRICS if metric.golden] == accuracy


def test_columns_and_responses_are_metrics() -> None:
    names = {metric.name for metric in (*METRICS, ERROR_INCREASE)}
    assert set(RESPONSES) <= names
    assert names <= set(table.COLUMNS)
    factors = {"model", "perturb", "format", "seed", "replica", "draw", "layer", "bit", "faults"}
    assert set(draws.COLUMNS) - factors <= names
    assert label_of("due_rate") == "Detected unrecoverable errors (fraction of images)"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_room_hands_on_its_names(name: str) -> None:
    room = importlib.import_module(f"resilience.analysis.{name.replace('/', '.')}".rstrip("."))
    assert room.__doc__
    assert len(room.__doc__.splitlines()) <= 3
    assert room.__all__
    modules = {path.stem for path in (PACKAGE / name).glob("*.py")}
    for each in room.__all__:
        assert each not in modules, "a module of this name would hide it"
        assert not isinstance(getattr(room, each), ModuleType)


def floor(name: str) -> int:
    return next(place for place, names in enumerate(FLOORS) if name in names.split())


@pytest.mark.parametrize("name", [*ROOMS, "pipeline"])
def test_rooms_import_from_the_floors_below(name: str) -> None:
    path = PACKAGE / name
    for module in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("resilience"):
                parts = str(node.module).split(".")
                assert parts[1] in {"analysis", "results", "system", "number_formats"}
                if parts[1] == "analysis" and parts[2] != name:
                    assert floor(parts[2]) < floor(name), f"{module.name} imports {node.module}"


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_and_files_stay_small(name: str) -> None:
    files = [path for path in (PACKAGE / name).iterdir() if path.is_file()]
    assert len(files) <= 12
    assert all(len(path.read_text().splitlines()) <= 250 for path in files)
