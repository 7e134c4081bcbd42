"""Where numbers come from: versions of packages, and the machine."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("resilience", "torch", "torchvision", "numpy", "scipy", "statsmodels", "hydra-core")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str | int | None]:
    """The machine that this process runs on."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


def hardware() -> dict[str, Any]:
    """The machine that this process runs on, with its memory (bytes) and its GPUs, by name."""
    return machine() | {"memory": memory(), "gpus": gpus()}


def memory() -> int | None:
    """Memory of the machine, bytes; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def gpus() -> list[str]:
    """Names of NVIDIA's GPUs, as their driver tells them: asking torch would occupy them."""
    listed = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return listed.splitlines() if listed else []


def repository(directory: Path) -> Mapping[str, str | bool] | None:
    """The git commit of a directory, and whether files that git tracks differ from it (`dirty`).

    None where there is no repository with a commit, or no git.
    """
    git = ("git", "-C", str(directory))
    commit = _output(*git, "rev-parse", "--verify", "HEAD")
    changes = _output(*git, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _output(program: str, *arguments: str) -> str | None:
    """What a program prints; None if it is not there or fails."""
    if not shutil.which(program):
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """Name of the processor, as well as the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
