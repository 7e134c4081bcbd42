"""Where numbers come from: package versions, git commit and machine."""

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
    """Versions of Python and of the packages that results depend on."""
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
    """The machine that this process runs on, with its memory (bytes) and the names of its GPUs."""
    return machine() | {"memory": memory(), "gpus": gpus()}


def memory() -> int | None:
    """Total memory of the machine, bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def gpus() -> list[str]:
    """Names of NVIDIA GPUs, from their driver: querying them through torch would occupy them."""
    listed = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return listed.splitlines() if listed else []


def repository(directory: Path) -> Mapping[str, str | bool] | None:
    """The git commit of a directory, and whether tracked files differ from it (`dirty`).

    None if there is no repository with a commit, or no git.
    """
    git = ("git", "-C", str(directory))
    commit = _output(*git, "rev-parse", "--verify", "HEAD")
    changes = _output(*git, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _output(program: str, *arguments: str) -> str | None:
    """Output of a program; None if it is not installed or fails."""
    if not shutil.which(program):
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """Name of the processor, as far as the system reports it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
