"""Log lines on the console, alongside a live progress line."""

import logging

ERASE_LINE = "\r\x1b[K"


class Console(logging.StreamHandler):  # type: ignore[type-arg]  # not generic in Python 3.10
    """Logs to a stream, each record on its own line.

    On a terminal a record may start where this process or another one has drawn a campaign's
    live line: that line is erased first, and soon redrawn below.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record; on a terminal, after a code that erases the line."""
        text = super().format(record)
        return ERASE_LINE + text if self.stream.isatty() else text


def console_level(mode: object) -> str:
    """Lowest level shown on the console; a sweep leaves out what every trial would log."""
    return "WARNING" if "MULTIRUN" in str(mode) else "INFO"
