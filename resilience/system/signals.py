"""Stopping where nothing is lost: Ctrl-C and SIGTERM, heard between batches."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a user's Ctrl-C sends, and what clusters send before they kill."""


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop.

    Attributes
    ----------
    status
        Exit status that says which signal asked: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


_deferring = False
"""Whether this process is where a stop must wait for the end of a batch."""

_requested: int | None = None
"""Number of the signal that asked this process to stop, if one did."""


@contextmanager
def handled() -> Iterator[None]:
    """Turn signals into `Interrupted`: at once, or at the next `check` of deferred work."""
    global _requested
    if (
        threading.current_thread() is not threading.main_thread()  # which alone hears signals
        or signal.getsignal(signal.SIGTERM) is _handle  # within another `handled`
    ):
        yield
        return
    _requested = None
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait for the next `check`; a second one stops at once."""
    global _deferring
    _deferring = True
    try:
        yield
    finally:
        _deferring = False


def check() -> None:
    """Stop here if this process was asked to.

    Raises
    ------
    Interrupted
        If a signal came since signals are handled.
    """
    if _requested is not None:
        raise Interrupted(_requested)


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested
    first, _requested = _requested is None, number
    if not (_deferring and first):
        raise Interrupted(number)
    # Not print: the signal may have come while something else was printing.
    os.write(2, b"\nstopping after this batch; once more stops at once\n")
