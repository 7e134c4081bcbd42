"""Which room may import which: one table, against which every file of the package is held."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import resilience

PACKAGE = Path(resilience.__file__).parent

TORCH = {"torch", "torchvision", "safetensors"}
HYDRA = {"hydra", "omegaconf", "hydra_plugins"}

BASE = {"system", "number_formats"}
CORE = {*BASE, "faults", "faults.population"}
ANALYSIS = {*BASE, "results", "analysis.tables"}
STATISTICS = {*ANALYSIS, "analysis.means", "analysis.spread", "analysis.risk", "analysis.power"}
TRIALS = {*CORE, "data", "results", "networks", "inference", "metrics", "trials"}
CONFIG = {*TRIALS, "config"}

ROOMS: dict[str, set[str]] = {
    # floor 1
    "system": set(),
    "number_formats": {"system"},
    # floor 2
    "data": {"system"},
    "results": {"system"},
    "faults.population": {"system"},
    "faults": {*BASE, "faults.population"},
    "perturbations": {"faults"},
    "sites": {"faults.population"},
    # floor 3
    "networks": {"system", "data"},
    "inference": CORE,
    "analysis.tables": {*BASE, "results"},
    "analysis.means": ANALYSIS,
    "analysis.spread": {*ANALYSIS, "analysis.means"},
    "analysis.risk": ANALYSIS,
    "analysis.power": {*ANALYSIS, "analysis.means", "analysis.spread"},
    "analysis.read": STATISTICS,
    "analysis.figures": STATISTICS,
    "analysis.report": {*STATISTICS, "analysis.figures"},
    "analysis": {*STATISTICS, "analysis.read", "analysis.figures", "analysis.report"},
    # floor 4
    "metrics": {"inference"},
    "analyze": {*BASE, "results", "analysis"},
    # floor 5
    "trials": {*TRIALS, "analysis.read"},
    # floor 6
    "config": CONFIG,
    # floor 7
    "campaign": {*CONFIG, "analysis"},
    "campaign.launchers": {*CONFIG, "campaign"},
    "planning": {*CONFIG, "analysis.tables", "analysis.power"},
    "prepare": CONFIG,
    "replay": CONFIG,
    # floor 8
    "status": {"campaign", "results"},
    "plan": {*CONFIG, "planning", "analysis.power", "analyze"},
    "hydra_plugins": {*CONFIG, "campaign", "campaign.launchers"},
    "__main__": {*CONFIG, "campaign"},
    "": {"system"},
}
"""Every room, and the rooms that it may import beside itself."""

WITHOUT_TORCH = {
    *("results", "number_formats", "analyze", "campaign", "status", "plan", "__main__"),
    *(room for room in ROOMS if room.startswith("analysis")),
}
MAY_KNOW_HYDRA = {
    *("config", "campaign", "campaign.launchers", "hydra_plugins"),
    *("__main__", "prepare", "replay"),
}
WITHOUT_FILES = {"faults.population", "metrics"}
FILES = {"pathlib", "os", "io", "json", "csv", "tempfile", "shutil"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(name: str) -> str:
    """The room of a module, given its dotted name below the package."""
    parts = name.split(".") if name else []
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in ROOMS:
            return ".".join(parts[:length])
    raise AssertionError(f"resilience.{name} is in no room of the table")


def dotted(module: Path) -> str:
    name = ".".join(module.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix("__init__").removesuffix(".")


def imports(module: Path, at_runtime_start: bool = False) -> Iterator[str]:
    """Everything that a file imports, wherever it does so, or just at its top."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in tree.body if at_runtime_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(module: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_every_file_imports_only_what_its_room_may(module: Path) -> None:
    room = room_of(dotted(module)) if dotted(module) else ""
    files = {dotted(path) for path in MODULES}
    imported = {name.removeprefix("resilience.") for name in imports(module) if "." in name}
    own = {name for name in imported if name in files and name}
    found = {room_of(name) for name in own} - {room}
    assert found <= ROOMS[room], f"{dotted(module)} may not import {found - ROOMS[room]}"
    if room in WITHOUT_TORCH:
        top = {name.partition(".")[0] for name in imports(module, at_runtime_start=True)}
        assert not top & TORCH
    if room not in MAY_KNOW_HYDRA:
        assert not packages(module) & HYDRA
    if room in WITHOUT_FILES:
        assert not packages(module) & FILES


def test_rooms_import_downwards_only() -> None:
    """No circle among the rooms: each can be removed once those that import it are gone."""
    left = {room: {*allowed} - {room} for room, allowed in used_rooms().items()}
    while left:
        bottom = {room for room, needed in left.items() if not needed & left.keys()}
        assert bottom, f"a circle among {sorted(left)}"
        left = {room: needed for room, needed in left.items() if room not in bottom}


def used_rooms() -> dict[str, set[str]]:
    """The rooms that each room really imports."""
    files = {dotted(path) for path in MODULES}
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module in MODULES:
        room = room_of(dotted(module)) if dotted(module) else ""
        for name in imports(module):
            own = name.removeprefix("resilience.")
            if own in files and own and own != name:
                used[room].add(room_of(own))
    return used


def test_the_table_names_no_room_that_is_not_there() -> None:
    names = {dotted(path) for path in MODULES}
    assert {room for room in ROOMS if room} <= names


def test_the_root_has_doors_and_public_modules_only() -> None:
    doors = {"__main__", "analyze", "plan", "prepare", "replay", "status"}
    public = {"metrics", "number_formats", "sites", "perturbations"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", *doors, *public}


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=str)
def test_folders_stay_small(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".pyi"]
    assert len(files) <= 12


@pytest.mark.parametrize(
    "statement",
    [
        *("import resilience", "import resilience.config.build", "import resilience.results"),
        *("import resilience.analysis", "import resilience.campaign.sweep"),
    ],
)
def test_importing_is_cheap(statement: str) -> None:
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_takes_less_than_50_ms() -> None:
    code = (
        "import time; start = time.perf_counter(); import resilience;"
        "print(time.perf_counter() - start)"
    )
    taken = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(taken) < 0.05


def test_every_public_name_is_there() -> None:
    for name in resilience.__all__:
        assert getattr(resilience, name) is not None


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("__init__.pyi")), ids=str)
def test_no_room_hands_on_a_name_that_hides_a_module(stub: Path) -> None:
    names = {
        alias.asname
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert not names & {path.stem for path in stub.parent.iterdir()}
