"""Log lines on the console, beside a live line of progress."""

import logging

ERASE_LINE = "\r\x1b[K"


class Console(logging.StreamHandler):  # type: ignore[type-arg]  # no parameter in Python 3.10
    """Logs to a stream, each record on a line of its own.

    On a terminal the live line of a campaign may be where a record is to begin, drawn by this
    process or another one: it is erased first, and soon drawn again below.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        text = super().format(record)
        return ERASE_LINE + text if self.stream.isatty() else text


def console_level(mode: object) -> str:
    """Least level that the console shows: of a sweep's trials, not what all of them say."""
    return "WARNING" if "MULTIRUN" in str(mode) else "INFO"
