"""Progress of a campaign, read from its files so that it is right for any number of workers."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from resilience.campaign.lifecycle import read_campaign_file
from resilience.results.record import FAILURE_FILE, RESULT_FILE, exact_faults

_LOOKS_APART = 0.5
"""Seconds between polls of a campaign's files; at least fifty times what a poll takes."""

_LINES_APART = 300.0
"""Seconds between plain lines, unless another tenth of the trials finishes sooner."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Progress of a campaign.

    Attributes
    ----------
    trials, done, failed
        Number of trials in the campaign, of those with a result, and of those with a failure.
    seconds_left
        Estimated from the trials of the latest run; None if there is nothing to estimate from.
    latest
        The trial that finished last, and its top-1 error.
    """

    trials: int
    done: int
    failed: int
    seconds_left: float | None
    latest: str | None

    @property
    def left(self) -> int:
        """Number of trials still to run."""
        return max(self.trials - self.done - self.failed, 0)

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.trials} trials done"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.left:
            parts.append(f"{self.left} left")
        if self.left and self.seconds_left is not None:
            parts.append(f"{timedelta(seconds=round(self.seconds_left))} to go")
        if self.latest:
            parts.append(self.latest)
        return ", ".join(parts)


class Tally:
    """Counts the trials of a campaign repeatedly, skipping results that it has already seen."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._done: set[str] = set()
        self._newest: tuple[float, str] | None = None

    def standing(self) -> Standing:
        """Current progress of the campaign."""
        failed = 0
        for folder, folders, files in os.walk(self._directory):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".") and f"{folder}/{name}" not in self._done
            ]
            if RESULT_FILE in files:
                self._found(folder)
            elif FAILURE_FILE in files:
                failed += 1
        document = read_campaign_file(self._directory)
        return Standing(
            trials=document.get("trials", len(self._done) + failed),
            done=len(self._done),
            failed=failed,
            seconds_left=self._seconds_left(document, failed),
            latest=self._latest(),
        )

    def _found(self, folder: str) -> None:
        path = f"{folder}/{RESULT_FILE}"
        try:
            written = Path(path).stat().st_mtime
        except FileNotFoundError:  # moved aside in the meantime
            return
        self._done.add(folder)
        if self._newest is None or written >= self._newest[0]:
            self._newest = written, path

    def _seconds_left(self, document: dict[str, Any], failed: int) -> float | None:
        if self._newest is None or "trials" not in document:
            return None
        new = len(self._done) - document["found"]
        spent = self._newest[0] - datetime.fromisoformat(document["started"]).timestamp()
        if new <= 0 or spent <= 0:
            return None
        left = document["trials"] - len(self._done) - failed
        return float(left * spent / new)

    def _latest(self) -> str | None:
        if self._newest is None:
            return None
        try:
            document = json.loads(Path(self._newest[1]).read_bytes())
            trial, error = document["trial"], document["corrupted"]["top1_error"]
            where = f"{trial['model']} {trial['perturb']} {_level(document)}"
        except (OSError, ValueError, KeyError, TypeError):  # resuming reports what is wrong
            return None
        return f"{where}: top-1 error {error:.3f}"


def _level(document: dict[str, Any]) -> str:
    """The failure rate of a trial, or its exact number of faults."""
    trial, parameters, faults = (document[name] for name in ("trial", "parameters", "faults"))
    count = exact_faults(trial, parameters, faults)
    if count is None:
        return f"{trial['frate']:g}"
    return f"{count} fault" if count == 1 else f"{count} faults"


@contextmanager
def shown(directory: Path) -> Iterator[None]:
    """Show a campaign's progress while its trials run: a live line, or plain lines in a log."""
    show = _live if sys.stderr.isatty() else _plain
    finished = threading.Event()
    thread = threading.Thread(target=show, args=(Tally(directory), finished.wait), daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def follow(directory: Path) -> None:
    """Show a campaign's progress until no trial is left."""
    tally = Tally(directory)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return not tally.standing().left

    _live(tally, wait)


def _live(tally: Tally, wait: Callable[[float], bool]) -> None:
    """Redraw one line until `wait`, given seconds, returns true."""
    with tqdm(bar_format="{percentage:3.0f}% |{bar:20}| {desc}", dynamic_ncols=True) as bar:
        for standing in _looks(tally, wait):
            bar.total, bar.n = standing.trials, standing.done
            bar.set_description_str(str(standing))


def _plain(tally: Tally, wait: Callable[[float], bool]) -> None:
    """Print a line for each tenth of the trials, or after a while without one."""
    said, when = -1, time.monotonic()
    standing = None
    for standing in _looks(tally, wait):
        tenth = 10 * (standing.done + standing.failed) // max(standing.trials, 1)
        if tenth > said or time.monotonic() - when > _LINES_APART:
            said, when = tenth, time.monotonic()
            print(standing, file=sys.stderr, flush=True)


def _looks(tally: Tally, wait: Callable[[float], bool]) -> Iterator[Standing]:
    """Progress of a campaign at intervals, and once more when the wait is over."""
    over = False
    while True:
        started = time.monotonic()
        yield tally.standing()
        if over:
            return
        over = wait(max(_LOOKS_APART, 50 * (time.monotonic() - started)))
