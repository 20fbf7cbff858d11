"""The orchestrator as the worker sees it: one method for each of the contract's requests.

Each request is bounded twice by cancel scopes: every attempt, and all attempts together. Passing failures are tried
again with exponential backoff and full jitter; what fails for good leaves this file as an `OrchestratorError`.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec
import trio
from loguru import logger

from trioworker.errors import BadReplyError, RefusedError, UnreachableError
from trioworker.observability.spans import UNTRACED
from trioworker.protocol import wire
from trioworker.protocol.limits import MAX_LLM_REPLY_BYTES, MAX_REPLY_BYTES
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import Request, Response, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import httpx

    from trioworker.observability.spans import Span, Tracer
    from trioworker.worker.cancellation import ReportDelivery
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.recording_hooks import RecordingHooks

T = TypeVar("T")

BACKOFF_FIRST = 0.1
BACKOFF_LIMIT = 5.0
"""Seconds: the upper bound of the first pause, doubled up to the limit (design, rule 9)."""
MALFORMED_ATTEMPTS = 3
"""A 2xx answer with a wrong body may be a proxy's; the third in a row is the orchestrator's own."""
PASSING_STATUSES: Final = frozenset({408, 425, 429})
"""The 4xx that another try may change (design, rule 9); every 5xx may as well."""


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may take: seconds an attempt, seconds in all, and bytes of its reply."""

    attempt: float
    total: float
    reply_bytes: int = MAX_REPLY_BYTES


BOOTSTRAP = RequestLimits(attempt=15.0, total=60.0)
LLM = RequestLimits(attempt=200.0, total=300.0, reply_bytes=MAX_LLM_REPLY_BYTES)
"""A reply may write a file of 5 MiB through JSON escapes; a second attempt still fits when the first one stalls."""
POST = RequestLimits(attempt=10.0, total=300.0)
POLL = RequestLimits(attempt=10.0, total=10.0)
COMPLETE = RequestLimits(attempt=4.0, total=60.0)
"""Sending it again is safe: a refusal then says that it had arrived."""


class OrchestratorClient:
    """The contract's requests for one job. An async context manager; no method may be called outside of it.

    Every method raises `RefusedError`, `UnreachableError` or `BadReplyError`, all of them `OrchestratorError`.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        rng: random.Random | None = None,
        tracer: Tracer = UNTRACED,
        recorder: RecordingHooks | None = None,
    ) -> None:
        self.llm_requests = 0
        self.retries = 0
        """Attempts that were made again, over all requests."""
        self.resent_events = 0
        # A job's time runs before the job is known.
        self._bootstrap = msgspec.structs.replace(BOOTSTRAP, total=min(BOOTSTRAP.total, config.timeout))
        self._base = f"{config.orchestrator_url.rstrip('/')}/worker/{config.job_id}/"
        self._connection = open_connection(self._base, {"Authorization": f"Bearer {config.token}"}, transport)
        self._tracer = tracer
        self._recorder = recorder
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.aclose()

    async def job(self) -> wire.JobDescription:
        """`GET job`."""
        return await self._decoded("GET", "job", _job, self._bootstrap)

    async def credentials(self) -> tuple[wire.Credential, ...]:
        """`GET credentials`: those granted to this job, often none."""
        return await self._decoded("GET", "credentials", _credentials, self._bootstrap, accept=frozenset({204, 404}))

    async def complete_chat(self, request: wire.CompletionRequest) -> wire.Reply:
        """`POST llm/complete`: a text reply."""
        return await self._llm_request("llm/complete", _encode(request))

    async def complete_with_tools(self, request: wire.ToolCompletionRequest) -> wire.Reply:
        """`POST llm/complete_with_tools`: a reply that may call tools."""
        return await self._llm_request("llm/complete_with_tools", _encode(request))

    async def prompt(self) -> wire.Prompt | None:
        """`GET prompt`, one attempt: the next follow-up, or None when none is waiting."""
        return await self._decoded("GET", "prompt", _prompt, POLL, accept=frozenset({204}), attempts=1)

    async def post(self, path: str, body: bytes) -> None:
        """`POST event` and `POST status`: what the outbox holds."""
        await self._request_with_retries("POST", path, POST, _ignore, body=body)

    async def report(self, report: wire.CompletionReport, delivery: ReportDelivery) -> None:
        """`POST complete`, until it was accepted.

        The orchestrator revokes the token before it answers, so a refusal after an attempt that may have arrived means
        that it had.
        """
        try:
            await self._request_with_retries(
                "POST", "complete", COMPLETE, _ignore, body=_encode(report), delivery=delivery
            )
        except RefusedError as error:
            if not (delivery.may_have_arrived and error.status in {401, 404}):
                raise
            logger.debug("complete: {} after an attempt that may have arrived, so it had", error.status)

    async def _llm_request(self, path: str, body: bytes) -> wire.Reply:
        self.llm_requests += 1
        with self._recorder.llm_request(path, body) if self._recorder else nullcontext():
            return await self._decoded("POST", path, _reply, LLM, body=body)

    async def _decoded(
        self,
        method: str,
        path: str,
        decode: Callable[[bytes], T],
        limits: RequestLimits,
        *,
        body: bytes | None = None,
        accept: frozenset[int] = frozenset(),
        attempts: int | None = None,
    ) -> T:
        malformed = 0

        def read(answer: Response) -> T:
            nonlocal malformed
            try:
                return decode(b"" if answer.status in accept else answer.body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                malformed += 1
                said = f"{method} {path}: {answer.status} with a body that is not the contract's: {error}"
                if malformed < MALFORMED_ATTEMPTS and attempts is None:
                    raise TransientError(said) from error
                raise BadReplyError(said) from error

        return await self._request_with_retries(method, path, limits, read, body=body, accept=accept, attempts=attempts)

    async def _request_with_retries(
        self,
        method: str,
        path: str,
        limits: RequestLimits,
        read: Callable[[Response], T],
        *,
        body: bytes | None = None,
        accept: frozenset[int] = frozenset(),
        attempts: int | None = None,
        delivery: ReportDelivery | None = None,
    ) -> T:
        """The request until it is answered, refused, or out of time; `read` runs as soon as the body is whole."""
        last, retry_after = "no answer", 0.0
        tries = 0
        with trio.move_on_after(limits.total):
            while attempts is None or tries < attempts:
                self.retries += tries > 0
                self.resent_events += tries > 0 and path == "event"
                tries += 1
                try:
                    with delivery or nullcontext(), self._span(method, path, tries - 1) as span:
                        on_sent = delivery.body_sent if delivery else None
                        return read(await self._attempt(method, path, limits, body, accept, span, on_sent))
                except TransientError as failure:
                    last, retry_after = str(failure), failure.retry_after
                    logger.debug("{} {}: attempt {}: {}", method, path, tries, last)
                    if attempts is None:
                        with self._tracer.span("wait", "back-off"):
                            await trio.sleep(max(failure.retry_after, self._backoff(tries)))
        raise UnreachableError(
            f"{method} {self._base}{path}: {last} (gave up after {tries} attempts and at most {limits.total:g} s); "
            "is the orchestrator up and its URL right?",
            retry_after,
        )

    def _span(self, method: str, path: str, resend: int) -> Span:
        name = f"{method} {path}"
        if resend:
            return self._tracer.span("retry", name, method=method, resend=resend)
        return self._tracer.span("llm" if path.startswith("llm/") else "request", name, method=method)

    def _backoff(self, tries: int) -> float:
        return self._rng.uniform(0, min(BACKOFF_LIMIT, BACKOFF_FIRST * 2.0 ** min(tries - 1, 16)))

    async def _attempt(
        self,
        method: str,
        path: str,
        limits: RequestLimits,
        body: bytes | None,
        accept: frozenset[int],
        span: Span,
        on_sent: Callable[[], None] | None,
    ) -> Response:
        answer: Response | None = None
        with trio.move_on_after(limits.attempt):
            request = Request(method, path, body, self._tracer.headers(), on_sent)
            answer = await self._connection.exchange(request, limits.reply_bytes)
        if answer is None:
            raise TransientError(f"no whole answer within {limits.attempt:g} s")
        if self._recorder is not None and path.startswith("llm/"):
            self._recorder.llm_response(answer.status, answer.body)
        span.set(status=answer.status, sent_bytes=len(body or b""), received_bytes=len(answer.body))
        if answer.status in accept or 200 <= answer.status < 300:
            return answer
        said = f"answered {answer.status}{_excerpt(answer.body)}"
        if answer.status >= 500 or answer.status in PASSING_STATUSES:
            raise TransientError(said, retry_after=answer.retry_after)
        raise RefusedError(f"{method} {self._base}{path}: {said}", answer.status)


def _ignore(_: Response) -> None:
    """For requests whose answer holds nothing."""


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return f": {text}" if text else ""


_encode = msgspec.json.encode
_job = msgspec.json.Decoder(wire.JobDescription).decode
_reply = msgspec.json.Decoder(wire.Reply).decode
_read_prompt = msgspec.json.Decoder(wire.Prompt).decode
_read_credentials = msgspec.json.Decoder(tuple[wire.Credential, ...]).decode


def _prompt(body: bytes) -> wire.Prompt | None:
    return _read_prompt(body) if body else None


def _credentials(body: bytes) -> tuple[wire.Credential, ...]:
    return _read_credentials(body) if body else ()
