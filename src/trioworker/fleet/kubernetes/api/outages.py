"""Back-off that requests share, and one line per outage."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.fleet.back_off import back_off, jitter
from trioworker.fleet.kubernetes.api.refusals import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

INITIAL_DELAY = 1.0
MAX_DELAY = 15.0
MAX_QUOTA_DELAY = 5.0
"""Seconds between attempts: see `back_off`. A quota may have room at any time."""
MAX_RETRY_AFTER = 60.0
"""Maximum seconds of a `Retry-After` that are honoured."""
NOTICE_AFTER = 3.0
"""Seconds of failures before a line reports them."""
ENDS = {
    Meaning.OUTAGE: "answers again",
    Meaning.QUOTA: "has room in the quota again",
    Meaning.LOGIN: "accepts the login again",
    Meaning.RIGHTS: "allows the requests again",
}
"""What the line at the end of an outage says about the API."""


class Gate:
    """Holds back all requests after one has failed; then one of them is tried first.

    Attributes:
        opens_at: when the next request may be sent.
        since: when the attempt started that was the first failure with this meaning since the last success.
        trial: held by the request that is tried.
    """

    def __init__(self) -> None:
        self.opens_at = -float("inf")
        self.since = 0.0
        self.trial = trio.Lock()
        self._meaning: Meaning | None = None
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return trio.current_time() >= self.opens_at

    @property
    def is_failing(self) -> bool:
        """Whether no request has succeeded since the last failure."""
        return self._meaning is not None

    def failed(self, meaning: Meaning, started_at: float) -> None:
        """Record a failure of a request that was started at `started_at`."""
        # Failures of concurrent requests count as one.
        self._failures += self.is_open
        if meaning is not self._meaning:
            self._meaning, self.since, self._failures = meaning, started_at, 1

    def close(self, retry_after: float, limit: float | None) -> None:
        """Close the gate: for `retry_after` seconds if the server asked for it, at most until `limit`."""
        maximum = MAX_QUOTA_DELAY if self._meaning is Meaning.QUOTA else MAX_DELAY
        delay = back_off(self._failures, initial=INITIAL_DELAY, maximum=maximum)
        if retry_after > 0:
            # Otherwise, all clients of the API would return at the same moment.
            delay = max(delay, min(retry_after, MAX_RETRY_AFTER) + jitter())
        opens_at = trio.current_time() + delay
        self.opens_at = max(self.opens_at, opens_at if limit is None else min(opens_at, limit))

    def succeeded(self) -> None:
        """Reset the back-off."""
        self._meaning = None


class Waiter:
    """A request. `meaning` is that of its last failure."""

    meaning: Meaning | None = None


class Outages:
    """The requests that are currently failing, by the meaning of their failures.

    A line is shown when one has failed for `NOTICE_AFTER`, and another when none is failing any more.
    """

    def __init__(self, notify: Callable[[str], None], api: str) -> None:
        """`api` names the API in the lines."""
        self._notify = notify
        self._api = api
        self._failing: dict[Meaning, set[Waiter]] = {meaning: set() for meaning in Meaning}
        self._announced: set[Meaning] = set()

    @contextmanager
    def request(self) -> Generator[Waiter]:
        """Track a request, from its first attempt until it succeeds or is given up."""
        waiter = Waiter()
        try:
            yield waiter
        except BaseException:
            self._leave(waiter, over=False)
            raise
        self._leave(waiter, over=True)

    def failed(self, waiter: Waiter, meaning: Meaning) -> None:
        """Record a failed attempt of the request."""
        if waiter.meaning is not meaning:
            # A refusal for another reason still means that the API is back.
            self._leave(waiter, over=waiter.meaning is Meaning.OUTAGE)
            waiter.meaning = meaning
            self._failing[meaning].add(waiter)

    def announce(self, meaning: Meaning, text: str, gate: Gate) -> None:
        """Show the line `text` unless the failures may pass within `NOTICE_AFTER`, or it was shown before."""
        if meaning not in self._announced and gate.opens_at - gate.since >= NOTICE_AFTER:
            self._announced.add(meaning)
            self._notify(f"{self._api} {text}")

    def _leave(self, waiter: Waiter, *, over: bool) -> None:
        meaning = waiter.meaning
        if meaning is None:
            return
        self._failing[meaning].discard(waiter)
        if not self._failing[meaning] and meaning in self._announced:
            self._announced.discard(meaning)
            if over:
                self._notify(f"{self._api} {ENDS[meaning]}")
