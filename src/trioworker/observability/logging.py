"""The log: on stderr, as text or as one JSON object per line; each line is redacted as a whole.

Control characters are escaped, so that no title, command or error can forge a line of the log.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from loguru import logger

from trioworker.observability.notices import INDENT, indent_lines
from trioworker.protocol.ascii_json import ascii_json
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from loguru import Message

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class Logs:
    """Sets up the log. `redact` is applied to each line; replace it when more secrets become known."""

    def __init__(self, level: LogLevel, form: LogFormat, redact: Callable[[str], str]) -> None:
        self.redact = redact
        logger.enable("trioworker")
        logger.remove()
        logger.add(
            self._write_json if form == "json" else self._write_text,
            level=level.upper(),
            # Only the traceback, or nothing without one: the rest comes from the record.
            format=lambda _: "{exception}",
            # A traceback with the values of variables could show secrets that redaction doesn't know.
            diagnose=False,
            backtrace=False,
        )

    def _write_text(self, message: Message) -> None:
        record = message.record
        head = f"{record['time']:YYYY-MM-DDTHH:mm:ss.SSSZZ} {record['level'].name: <7}"
        lines = f"{head} {escape_line(self.redact(record['message']))}\n"
        if trace := self.redact(str(message)).rstrip("\n"):
            lines += f"{INDENT}{indent_lines(trace)}\n"
        sys.stderr.write(lines)
        sys.stderr.flush()

    def _write_json(self, message: Message) -> None:
        record = message.record
        line = {
            "time": record["time"].isoformat(),
            "level": record["level"].name.lower(),
            "message": self.redact(record["message"]),
        }
        if record["exception"] is not None:
            line["exception"] = self.redact(repr(record["exception"].value))
        sys.stderr.write(ascii_json(line) + "\n")
        sys.stderr.flush()
