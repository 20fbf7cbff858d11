"""Back-off that requests share, and one line per outage."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.fleet.kubernetes.refusals import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

INITIAL_DELAY = 1.0
MAX_DELAY = 15.0
MAX_QUOTA_DELAY = 5.0
"""Seconds between attempts: exponential back-off, with jitter over the upper half. A quota has room at any time."""
MAX_RETRY_AFTER = 60.0
"""Seconds that a `Retry-After` may ask for."""
NOTICE_AFTER = 3.0
"""Seconds of failures before a line says so."""
ENDS = {
    Meaning.OUTAGE: "answers again",
    Meaning.QUOTA: "has room in the quota again",
    Meaning.LOGIN: "accepts the login again",
    Meaning.RIGHTS: "grants the requests again",
}
"""What the API does when an outage is over."""


class Gate:
    """Holds requests back after one of them has failed: the others wait, too.

    Attributes:
        opens_at: when the next ones may be sent.
    """

    def __init__(self) -> None:
        self._failures = 0
        self.opens_at = -float("inf")

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return trio.current_time() >= self.opens_at

    def close(self, retry_after: float, *, maximum: float, limit: float | None) -> float:
        """Close it after a failure, and return when it opens.

        `retry_after` is what the server asked for, 0 for nothing; `maximum` is that of the back-off, both in seconds;
        `limit` is the time at which it opens at the latest.
        """
        # Requests that were under way together are one attempt.
        self._failures += self.is_open
        jitter = 0.5 + random.random() / 2  # noqa: S311 - not for security
        delay = min(maximum, INITIAL_DELAY * 2 ** min(self._failures - 1, 10)) * jitter
        if retry_after > 0:
            # Not all clients of the API at the same moment.
            delay = max(delay, min(retry_after, MAX_RETRY_AFTER) + jitter)
        opens = trio.current_time() + delay
        self.opens_at = max(self.opens_at, opens if limit is None else min(opens, limit))
        return self.opens_at

    def succeeded(self) -> None:
        """Start the back-off anew."""
        self._failures = 0


class Streak:
    """The failures of one request with the same meaning, up to now.

    Attributes:
        since: when the first of the attempts was started.
    """

    def __init__(self) -> None:
        self.meaning: Meaning | None = None
        self.since = 0.0


class Outages:
    """The requests that fail at present, by the meaning of their failures.

    A line is shown when one has failed for `NOTICE_AFTER`, and another one when none fails any more.
    """

    def __init__(self, notify: Callable[[str], None], api: str) -> None:
        """`api` names the API in the lines."""
        self._notify = notify
        self._api = api
        self._failing: dict[Meaning, set[Streak]] = {meaning: set() for meaning in Meaning}
        self._announced: set[Meaning] = set()

    @contextmanager
    def request(self) -> Generator[Streak]:
        """Track a request, from its first attempt until it succeeds or is given up."""
        streak = Streak()
        try:
            yield streak
        except BaseException:
            self._leave(streak, over=False)
            raise
        self._leave(streak, over=True)

    def failed(self, streak: Streak, meaning: Meaning, started_at: float) -> None:
        """Count a failed attempt of the request."""
        if streak.meaning is not meaning:
            # Whatever it is refused for now, the API is back.
            self._leave(streak, over=streak.meaning is Meaning.OUTAGE)
            streak.meaning, streak.since = meaning, started_at
            self._failing[meaning].add(streak)

    def announce(self, streak: Streak, text: str, next_attempt: float) -> None:
        """Show the line `text` unless the failures may pass within `NOTICE_AFTER`, or it was shown before."""
        meaning = streak.meaning
        if meaning is None or meaning in self._announced or next_attempt - streak.since < NOTICE_AFTER:
            return
        self._announced.add(meaning)
        self._notify(f"{self._api} {text}")

    def _leave(self, streak: Streak, *, over: bool) -> None:
        meaning = streak.meaning
        if meaning is None:
            return
        self._failing[meaning].discard(streak)
        if not self._failing[meaning] and meaning in self._announced:
            self._announced.discard(meaning)
            if over:
                self._notify(f"{self._api} {ENDS[meaning]}")
