"""The user's cache: files made once, by whoever comes first, however many start together."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import platformdirs
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from resilience.networks.checkpoints import state_sha256
from resilience.system.atomic import replacing

log = logging.getLogger(__name__)
T = TypeVar("T")


class DamagedCacheError(ValueError):
    """A cached file that is not what was written."""


def cache_directory() -> Path:
    """The directory that `RESILIENCE_CACHE` names, or the user's cache directory."""
    configured = os.environ.get("RESILIENCE_CACHE")
    return Path(configured) if configured else platformdirs.user_cache_path("resilience")


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors and their sha256."""
    save_file(tensors, path, {"sha256": state_sha256(tensors)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read named tensors, which share memory with the file, and their sha256.

    Raises
    ------
    DamagedCacheError
        If a bit of them is not what was written.
    """
    try:
        with safe_open(path, "pt") as file:
            claimed = file.metadata()["sha256"]
        tensors = load_file(path)
    except (SafetensorError, KeyError, TypeError) as error:
        raise DamagedCacheError(str(error)) from error
    if state_sha256(tensors) != claimed:
        raise DamagedCacheError("its content does not agree with its sha256")
    return tensors, claimed


def made_once(path: Path, make: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Load a cached file, after making it if it is missing or damaged.

    Parameters
    ----------
    make
        Writes the file to the path it is given; runs in one process at a time.
    load
        Reads the file; raises `DamagedCacheError` for one that must be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if path.exists():
            try:
                return load(path)
            except DamagedCacheError as error:
                log.warning("making %s again: %s", path, error)
        with replacing(path) as temporary:
            make(temporary)
        return load(path)
