"""Stopping without losing work: Ctrl-C and SIGTERM take effect between batches."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Sent by a user's Ctrl-C, and by clusters before they kill a job."""


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop.

    Attributes
    ----------
    status
        Exit status for the signal: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


_deferring = False
"""Whether a request to stop must wait for the end of a batch."""

_requested: int | None = None
"""Number of the signal that asked this process to stop, if any."""


@contextmanager
def handled() -> Iterator[None]:
    """Turn signals into `Interrupted`: at once, or at the next `check` while deferred."""
    global _requested
    if (
        threading.current_thread() is not threading.main_thread()  # only that one receives signals
        or signal.getsignal(signal.SIGTERM) is _handle  # nested in another `handled`
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
        If a signal has arrived since `handled` was entered.
    """
    if _requested is not None:
        raise Interrupted(_requested)


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested
    first, _requested = _requested is None, number
    if not (_deferring and first):
        raise Interrupted(number)
    # Not print: the signal may have interrupted another print.
    os.write(2, b"\nstopping after this batch; again to stop at once\n")
