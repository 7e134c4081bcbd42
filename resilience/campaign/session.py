"""State of one run of the program: its sweeps and its workloads."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from resilience.campaign.lifecycle import Run

if TYPE_CHECKING:  # torch takes seconds to import, and --help need not wait for it
    from resilience.trials.workloads import Workloads


@dataclass
class Session:
    """One run of the program, or of a worker.

    Hydra calls the sweeper, the launcher and the trials without passing anything on; `current`
    returns the session that their caller made active.

    Attributes
    ----------
    runs
        The sweeps that this process has started.
    """

    runs: list[Run] = field(default_factory=list)

    @cached_property
    def workloads(self) -> "Workloads":
        """The workloads of this process."""
        from resilience.trials.workloads import Workloads

        return Workloads()

    @contextmanager
    def active(self) -> Iterator["Session"]:
        """Make this the current session for the duration of a block."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    @staticmethod
    def current() -> "Session":
        """The active session; a new one if there is none, as in a joblib worker."""
        try:
            return _current.get()
        except LookupError:
            _current.set(session := Session())
            return session

    def check_weights(self) -> None:
        """Verify that every network in use still has the weights that were loaded."""
        if "workloads" in self.__dict__:
            self.workloads.check_weights()


_current: ContextVar[Session] = ContextVar("session")
