"""Requests with limits and retries: transient failures are retried with exponential back-off and full jitter.

Two cancel scopes limit a request: one around each attempt, and one around all attempts together.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import trio
from loguru import logger

from trioworker.errors import OrchestratorError, RefusedError, ServerFailingError, SupersededError, UnreachableError
from trioworker.protocol.limits import MAX_REPLY_BYTES
from trioworker.worker.client.exchange import NO_HEADERS, HttpRequest, HttpResponse, TransientError, UntrustedError

if TYPE_CHECKING:
    import random

    from trioworker.observability.spans import Span, Tracer
    from trioworker.worker.cancellation import ReportDelivery
    from trioworker.worker.client.exchange import Connection
    from trioworker.worker.recording_hooks import RecordingHooks

T = TypeVar("T")

BACKOFF_FIRST = 0.1
BACKOFF_LIMIT = 5.0
"""Seconds. The upper bound of a pause starts with the former and doubles up to the latter (design, rule 9)."""
TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
"""The 4xx statuses that a retry may change (design, rule 9). Every 5xx status is transient."""
SUPERSEDED: Final = (409, b"superseded")
"""Status and body of the response to a worker that was superseded (contract, 'Starts')."""

_ASK = HttpRequest("GET", "job")

Explain = Callable[[HttpResponse], Exception | None]
"""Converts an unsuccessful response to an error; None leaves that to its status."""
OnRetry = Callable[[str], Awaitable[None]]
"""Called with the reason when a request is sent a second time."""


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a request: seconds per attempt and in all, the number of attempts, and bytes of the response's body.

    `failing` is the number of seconds after which a request fails if it got only 5xx responses.
    """

    attempt: float
    total: float
    failing: float = math.inf
    attempts: int | None = None
    reply_bytes: int = MAX_REPLY_BYTES


class RetryingSender:
    """Sends the requests of one client below `base`, the URL of the job, which ends with a slash.

    Attributes:
        retries: how many attempts were retries, over all requests.
        resent_events: how many of them sent an event.
        on_superseded: called when a response says that another start has the job. It may cancel the request's task,
            which then sees no error.
    """

    def __init__(
        self, connection: Connection, base: str, *, rng: random.Random, tracer: Tracer, recorder: RecordingHooks | None
    ) -> None:
        self.retries = 0
        self.resent_events = 0
        self._has_answered = False
        self.on_superseded: Callable[[SupersededError], None] = lambda _: None
        self._has_asked = False
        self._connection = connection
        self._base = base
        self._rng = rng
        self._tracer = tracer
        self._recorder = recorder

    async def send(
        self,
        method: str,
        path: str,
        limits: RequestLimits,
        read: Callable[[HttpResponse], T],
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        accept: frozenset[int] = frozenset(),
        delivery: ReportDelivery | None = None,
        explain: Explain | None = None,
        on_retry: OnRetry | None = None,
    ) -> T:
        """Send a request until it succeeds, and return what `read` makes of the response.

        A response succeeds if its status is 2xx or in `accept`, and `read` raises nothing. With a `TransientError`,
        `read` asks for a retry. `explain` may convert another response to an error, and `on_retry` is called with the
        reason of the first retry.

        Raises:
            RefusedError: the response has a status that no retry can change.
            ServerFailingError: the orchestrator responded with 5xx statuses only, for longer than the limits allow.
            SupersededError: the orchestrator serves another start of the job.
            UnreachableError: no attempt succeeded within the limits.
            OrchestratorError: `read` or the connection raised it, or the server's certificate isn't trusted and no
                request has succeeded before.
        """
        last, retry_after = "no response", 0.0
        tries, asks_first = 0, False
        failing_since = math.inf
        with trio.move_on_after(limits.total):
            while limits.attempts is None or tries < limits.attempts:
                self.retries += tries > 0
                self.resent_events += tries > 0 and path == "event"
                tries += 1
                superseded: SupersededError | None = None
                request = HttpRequest(method, path, body, headers, delivery.body_sent if delivery else None)
                try:
                    if asks_first:
                        await self._attempt(_ASK, limits, accept, self._span(_ASK, 0), None)
                    # The response is read within `delivery`: no cancel can come between arrival and decoding.
                    with delivery or nullcontext(), self._span(request, tries - 1) as span:
                        return read(await self._attempt(request, limits, accept, span, explain))
                except SupersededError as error:
                    superseded = error
                except TransientError as failure:
                    last, retry_after = str(failure), failure.retry_after
                    if isinstance(failure, UntrustedError) and not self._has_answered:
                        raise OrchestratorError(f"{method} {self._base}{path}: {last}") from failure
                    logger.debug("{} {}: attempt {}: {}", method, path, tries, last)
                    is_failing = failure.status is not None and failure.status >= 500
                    failing_since = min(failing_since, trio.current_time()) if is_failing else math.inf
                    if trio.current_time() - failing_since >= limits.failing:
                        raise ServerFailingError(
                            f"{method} {self._base}{path}: {last} (for at least {limits.failing:g} s)", retry_after
                        ) from failure
                    if on_retry is not None and tries == 1:
                        await on_retry(last)
                    if limits.attempts is None:
                        with self._tracer.span("wait", "back-off"):
                            await trio.sleep(max(retry_after, self._backoff(tries)))
                if superseded is not None and self._has_asked:
                    self.on_superseded(superseded)
                    await trio.lowlevel.checkpoint()
                    raise superseded
                # A stop may have cancelled the first `GET job`. Then the job is still granted to an earlier start.
                asks_first = superseded is not None
        raise UnreachableError(
            f"{method} {self._base}{path}: {last} (gave up after {tries} attempts and at most {limits.total:g} s); "
            "is the orchestrator up and its URL right?",
            retry_after,
        )

    async def _attempt(
        self,
        request: HttpRequest,
        limits: RequestLimits,
        accept: frozenset[int],
        span: Span,
        explain: Explain | None,
    ) -> HttpResponse:
        response: HttpResponse | None = None
        with trio.move_on_after(limits.attempt):
            # The headers name the current span, which this attempt opened.
            request = request._replace(headers={**request.headers, **self._tracer.headers()})
            response = await self._connection.exchange(request, limits.reply_bytes)
        if response is None:
            raise TransientError(f"no complete response within {limits.attempt:g} s")
        self._has_answered = True
        self._has_asked = self._has_asked or request.path == "job"
        if self._recorder is not None and request.path.startswith("llm/"):
            self._recorder.llm_response(response.status, response.body)
        span.set(status=response.status, sent_bytes=len(request.body or b""), received_bytes=len(response.body))
        if response.status in accept or 200 <= response.status < 300:
            return response
        if (response.status, response.body) == SUPERSEDED:
            target = f"{request.method} {self._base}{request.path}"
            raise SupersededError(
                f"{target}: superseded: another worker was started for this job; this one stops without a report"
            )
        if explain is not None and (failure := explain(response)) is not None:
            raise failure
        reason = f"answered {response.status}{_excerpt(response.body)}"
        if response.status >= 500 or response.status in TRANSIENT_STATUSES:
            raise TransientError(reason, retry_after=response.retry_after, status=response.status)
        raise RefusedError(f"{request.method} {self._base}{request.path}: {reason}", response.status)

    def _span(self, request: HttpRequest, resend: int) -> Span:
        name = f"{request.method} {request.path}"
        if resend:
            return self._tracer.span("retry", name, method=request.method, resend=resend)
        kind = "llm" if request.path.startswith("llm/") else "request"
        return self._tracer.span(kind, name, method=request.method)

    def _backoff(self, tries: int) -> float:
        # The exponent is bounded, since a float overflows at 2 ** 1024.
        return self._rng.uniform(0, min(BACKOFF_LIMIT, BACKOFF_FIRST * 2.0 ** min(tries - 1, 16)))


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return f": {text}" if text else ""
