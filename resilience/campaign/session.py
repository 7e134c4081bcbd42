"""What one run of the program holds: the sweeps that it runs, and its workloads."""

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

    Hydra calls the sweeper, the launcher and the trials without handing anything on; `current`
    gives them the session that whoever started them made active.

    Attributes
    ----------
    runs
        The sweeps that this process has begun.
    """

    runs: list[Run] = field(default_factory=list)

    @cached_property
    def workloads(self) -> "Workloads":
        """The workloads of this process."""
        from resilience.trials.workloads import Workloads

        return Workloads()

    @contextmanager
    def active(self) -> Iterator["Session"]:
        """Make this the current session for the length of a block."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    @staticmethod
    def current() -> "Session":
        """The session that is active here; a new one where none is, as in a worker of joblib."""
        try:
            return _current.get()
        except LookupError:
            _current.set(session := Session())
            return session

    def check_weights(self) -> None:
        """Verify that the weights of every network in use are those that were loaded."""
        if "workloads" in self.__dict__:
            self.workloads.check_weights()


_current: ContextVar[Session] = ContextVar("session")
