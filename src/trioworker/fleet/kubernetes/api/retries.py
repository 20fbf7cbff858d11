"""Decides when a request that failed is sent again, and when a failure stops the fleet."""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.api.outages import Gate, Outages
from trioworker.fleet.kubernetes.api.refusals import Failure, Meaning, RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractContextManager

    from trioworker.fleet.kubernetes.api.outages import Waiter

MAX_CONCURRENT = 20
"""Concurrent requests: a fleet of a thousand jobs must not overload the API."""
START_PATIENCE = 30.0
"""Seconds after which an API that has never answered counts as unreachable."""
PATIENCE = 30.0
"""Seconds for which a login or permission that was granted before may be refused: the API server may be restarting."""
FIRST_PATIENCE = 5.0
"""The same, if it was never granted: most likely the user doesn't have it. A starting API server loads the permissions
within a second.
"""


class Retries:
    """What the requests of a client share: the gates that hold them back, and what the API has granted before."""

    def __init__(self, api: str, source: str, notify: Callable[[str], None]) -> None:
        """`api` names the API and `source` the kubeconfig, in messages; `notify` shows a line."""
        self._api = api
        self._source = source
        self._outages = Outages(notify, api)
        self._slots = trio.Semaphore(MAX_CONCURRENT)
        self._general = Gate()
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)
        self._has_answered = False
        self._granted: set[str] = set()

    def request(self) -> AbstractContextManager[Waiter]:
        """Track a request, from its first attempt until it succeeds or is given up."""
        return self._outages.request()

    async def wait(self, operation: str) -> None:
        """Wait until a request may be sent."""
        gate = self._gates[operation]
        while trio.current_time() < (opens_at := max(self._general.opens_at, gate.opens_at)):  # noqa: ASYNC110 - it may be moved
            await trio.sleep_until(opens_at)

    @asynccontextmanager
    async def turn(self, operation: str) -> AsyncGenerator[None]:
        """Wait until a request may be sent, and hold a slot during it. After a failure, one request at a time."""
        while True:
            await self.wait(operation)
            failing = self._failing(operation)
            async with nullcontext() if failing is None else failing.trial, self._slots:
                # Another request may have failed or succeeded in the meantime.
                if self._failing(operation) is failing and self._is_open(operation):
                    yield
                    return

    def succeeded(self, operation: str) -> None:
        """Record that the API has granted a request."""
        self._has_answered = True
        self._granted.add(operation)
        self._general.succeeded()
        self._gates[operation].succeeded()

    def failed(self, operation: str, failure: Failure, waiter: Waiter, started_at: float) -> None:
        """Classify a failed attempt that was started at `started_at`. Returns if the request should be retried.

        Raises:
            RequestRefusedError: the API refuses the request because of its object.
            ConfigError: it refuses all such requests, or could never be reached.
        """
        if failure.meaning is Meaning.OBJECT:
            self.succeeded(operation)
            raise RequestRefusedError(failure.message, failure.status)
        if failure.meaning is Meaning.FINAL or (failure.is_untrusted and not self._has_answered):
            raise self._error(failure)
        self._has_answered = self._has_answered or 0 < failure.status < 500
        self._outages.failed(waiter, failure.meaning)
        gate = self._general if failure.is_general else self._gates[operation]
        gate.failed(failure.meaning, started_at)
        patience = self._patience(operation, failure.meaning)
        limit = None if patience is None else gate.since + patience
        if limit is not None and trio.current_time() >= limit:
            raise self._error(failure)
        gate.close(failure.retry_after, limit)
        bound = "" if patience is None else f" for up to {patience:g} s"
        self._outages.announce(failure.meaning, f"{failure.text}; waiting{bound}", gate)

    def _failing(self, operation: str) -> Gate | None:
        return next((gate for gate in (self._general, self._gates[operation]) if gate.is_failing), None)

    def _is_open(self, operation: str) -> bool:
        return self._general.is_open and self._gates[operation].is_open

    def _patience(self, operation: str, meaning: Meaning) -> float | None:
        """Return for how many seconds a failure may last, or None without a limit."""
        match meaning:
            case Meaning.RIGHTS:
                return PATIENCE if operation in self._granted else FIRST_PATIENCE
            case Meaning.LOGIN:
                return PATIENCE if self._granted else FIRST_PATIENCE
            case Meaning.OUTAGE if not self._has_answered:
                return START_PATIENCE
            case _:
                return None

    def _error(self, failure: Failure) -> ConfigError:
        return ConfigError(f"{self._api} {failure.text}; {failure.remedy.format(source=self._source)}")
