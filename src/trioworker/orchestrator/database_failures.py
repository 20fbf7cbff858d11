"""Answers requests that failed because the database is locked or the disk is full."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio
from starlette.responses import PlainTextResponse

from trioworker.observability.notices import print_notice

if TYPE_CHECKING:
    from starlette.requests import Request

NOTICE_INTERVAL = 30.0
"""Seconds between notices: clients retry each request once per second or so."""


class DatabaseFailures:
    """The exception handler of the application. The failure may be temporary, so the client retries."""

    def __init__(self) -> None:
        self._last_notice = -math.inf

    async def answer(self, _: Request, error: Exception) -> PlainTextResponse:
        """Answer with 503, and print a notice at most every `NOTICE_INTERVAL` seconds."""
        text = f"the database failed: {error}"
        now = trio.current_time()
        if now >= self._last_notice + NOTICE_INTERVAL:
            self._last_notice = now
            print_notice(f"{text}; requests are retried meanwhile")
        return PlainTextResponse(text, 503, {"Retry-After": "1"})
