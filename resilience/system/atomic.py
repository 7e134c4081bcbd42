"""Files that are either complete or absent, whatever happens while they are written."""

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces `path`, else it is removed.

    The content is on disk before the name appears (fsync, then rename), and the file's
    permissions follow the user's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a directory can't be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `NAME.damaged-N`, with the first free N; return its new path."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.damaged-{number}")
        if not aside.exists():
            break
    return path.rename(aside)


def remove_unfinished(directory: Path) -> None:
    """Remove temporary files that killed writers left in a directory."""
    for temporary in directory.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)
