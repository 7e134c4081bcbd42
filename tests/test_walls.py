"""Which module may know what: walls that keep the core free of files, Hydra and torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import resilience

PACKAGE = Path(resilience.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HYDRA_MAY_BE_KNOWN_TO = {
    *("__main__", "campaign", "composing", "config", "errors", "overrides", "prepare", "replay"),
    *("schema", "sweeping", "hydra_plugins/sweeper", "hydra_plugins/launcher"),
    *("clusters/__init__", "clusters/local", "clusters/ray", "clusters/slurm", "clusters/work"),
}
CORE = [
    *("layers", "recording", "sites", "formats", "storage", "perturbations", "bit_perturbations"),
    *("drawing", "injection", "passing", "evaluation"),
]
OUTSIDE_THE_CORE = {"pathlib", "os", "io", "json", "csv", "tempfile", "hydra", "omegaconf"}


def imports(module: Path) -> set[str]:
    """Everything that a module's file imports, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(module: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_tensors_and_neither_hydra_nor_files(name: str) -> None:
    module = PACKAGE / f"{name}.py"
    assert not packages(module) & OUTSIDE_THE_CORE
    own = {found for found in imports(module) if found.startswith("resilience.")}
    assert {found.split(".")[1] for found in own} <= {*CORE, "interruption"}


@pytest.mark.parametrize(
    "name", ["results", "identity", "files", "failures", "progress", "comparison"]
)
def test_results_know_neither_torch_nor_hydra(name: str) -> None:
    assert not packages(PACKAGE / f"{name}.py") & {"torch", "torchvision", "hydra", "omegaconf"}


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "analysis").glob("*.py")), ids=lambda path: path.name
)
def test_analysis_never_imports_torch(module: Path) -> None:
    assert not packages(module) & {"torch", "torchvision"}
    own = {found for found in imports(module) if found.startswith("resilience.")}
    allowed = (
        "resilience.analysis",
        "resilience.results.record",
        "resilience.system.atomic",
        "resilience.system.hashing",
    )
    assert all(found.startswith(allowed) for found in own)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_hydra_is_known_at_the_edge_only(module: Path) -> None:
    name = module.relative_to(PACKAGE).with_suffix("").as_posix()
    assert name in HYDRA_MAY_BE_KNOWN_TO or not packages(module) & {"hydra", "omegaconf"}


@pytest.mark.parametrize(
    "statement",
    ["import resilience", "import resilience.config.build", "import resilience.results.record"],
)
def test_importing_is_cheap(statement: str) -> None:
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
