"""What a user can do wrong, said in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException)
"""What a wrong configuration, a missing file or a missing network raises."""

TRACEBACK_WANTED = os.environ.get("HYDRA_FULL_ERROR") == "1"
"""Whether the user asked to see where errors come from, in Hydra's own way."""


def one_line(error: BaseException) -> str:
    """What an error says, on one line, without what Hydra wraps around it."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, USER_ERRORS):
        error = error.__cause__
    said = str(error).partition("\nConfig search path")[0].partition("\n    object_type")[0]
    return " ".join(said.split()) or type(error).__name__


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """End the program with one line and status 1 when an error of the user's comes out."""
    try:
        yield
    except USER_ERRORS as error:
        if TRACEBACK_WANTED:
            raise
        sys.exit(f"error: {one_line(error)}")
