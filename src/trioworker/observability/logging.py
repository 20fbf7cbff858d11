"""The log: on stderr, as text or as one JSON object per line; each line is redacted as a whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import msgspec
from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from loguru import Message

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class Logs:
    """Sets up the log. `redact` is applied to each line; replace it when more secrets become known."""

    def __init__(self, level: LogLevel, form: LogFormat, redact: Callable[[str], str]) -> None:
        self.redact = redact
        logger.remove()
        logger.add(
            self._write_json if form == "json" else self._write_text,
            level=level.upper(),
            format="{time:YYYY-MM-DDTHH:mm:ss.SSSZZ} {level: <7} {message}",
            # A traceback with the values of variables could show secrets that redaction doesn't know.
            diagnose=False,
            backtrace=False,
        )

    def _write_text(self, message: Message) -> None:
        sys.stderr.write(self.redact(str(message)))
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
        sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
        sys.stderr.flush()
