"""Where numbers come from: versions of packages, and the machine."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

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


def processor() -> str:
    """Name of the processor, as well as the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
