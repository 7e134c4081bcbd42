"""Errors that a user can cause, told in one line; any other exception shows its traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resilience.system.errors import UserError

USER_ERRORS = (UserError, OSError, HydraException, OmegaConfBaseException)
"""What a wrong configuration, a missing file or a missing network raises."""

TRACEBACK_WANTED = os.environ.get("HYDRA_FULL_ERROR") == "1"
"""Whether the user asked to see where errors come from, in Hydra's own way."""


def one_line(error: BaseException) -> str:
    """The message of an error on one line, without what Hydra wraps around it."""
    told = isinstance(error, USER_ERRORS)
    # What a user's own class refuses, it refuses with a ValueError.
    while isinstance(error, HydraException) and isinstance(
        error.__cause__, (*USER_ERRORS, ValueError)
    ):
        error = error.__cause__
    message = str(error).partition("\nConfig search path")[0].partition("\n    object_type")[0]
    text = " ".join(message.split()) or type(error).__name__
    return text if told else f"{type(error).__name__}: {text}"


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """End the program with one line and status 1 when a user's error comes out."""
    try:
        yield
    except USER_ERRORS as error:
        if TRACEBACK_WANTED:
            raise
        sys.exit(f"error: {one_line(error)}")
