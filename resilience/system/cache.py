"""The user's cache: each file is created once, even if many processes start together."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import platformdirs
from filelock import FileLock

from resilience.system.atomic import replacing

log = logging.getLogger(__name__)
T = TypeVar("T")


class DamagedCacheError(Exception):
    """A cached file that differs from what was written."""


def cache_directory() -> Path:
    """The directory named by `RESILIENCE_CACHE`, or the user's cache directory."""
    configured = os.environ.get("RESILIENCE_CACHE")
    return Path(configured) if configured else platformdirs.user_cache_path("resilience")


def made_once(path: Path, make: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Load a cached file, creating it first if it is missing or damaged.

    Parameters
    ----------
    make
        Writes the file to the path it is given; called in one process at a time.
    load
        Reads the file; raises `DamagedCacheError` if it must be created again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if path.exists():
            try:
                return load(path)
            except DamagedCacheError as error:
                log.warning("recreating %s: %s", path, error)
        with replacing(path) as temporary:
            make(temporary)
        return load(path)
