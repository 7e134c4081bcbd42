"""Errors that a user can cause, reported in one line; other exceptions show their traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resilience.system.errors import UserError

USER_ERRORS = (UserError, OSError, HydraException, OmegaConfBaseException)
"""Raised for a wrong configuration, a missing file or a missing network connection."""

TRACEBACK_WANTED = os.environ.get("HYDRA_FULL_ERROR") == "1"
"""Whether the user asked for tracebacks, by Hydra's own variable."""


def one_line(error: BaseException) -> str:
    """The message of an error on one line, without what Hydra wraps around it."""
    told = isinstance(error, USER_ERRORS)
    # A user's own class rejects its options with a ValueError.
    while isinstance(error, HydraException) and isinstance(
        error.__cause__, (*USER_ERRORS, ValueError)
    ):
        error = error.__cause__
    message = str(error).partition("\nConfig search path")[0].partition("\n    object_type")[0]
    text = " ".join(message.split()) or type(error).__name__
    return text if told else f"{type(error).__name__}: {text}"


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """End the program with one line and status 1 if a user error is raised."""
    try:
        yield
    except USER_ERRORS as error:
        if TRACEBACK_WANTED:
            raise
        sys.exit(f"error: {one_line(error)}")
