"""The orchestrator client: one method for each of the contract's requests."""

from __future__ import annotations

import math
import os
import random
from contextlib import nullcontext
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
from loguru import logger

from trioworker.errors import BadReplyError, RefusedError
from trioworker.observability.spans import UNTRACED
from trioworker.protocol import wire
from trioworker.protocol.limits import MAX_LLM_REPLY_BYTES
from trioworker.protocol.values import ITERATION_HEADER, START_HEADER
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import NO_HEADERS, HttpResponse, TransientError
from trioworker.worker.client.model_errors import model_failure, reply_or_failure
from trioworker.worker.client.retries import RequestLimits, RetryingSender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import httpx

    from trioworker.errors import SupersededError
    from trioworker.observability.spans import Tracer
    from trioworker.worker.cancellation import ReportDelivery
    from trioworker.worker.client.retries import Explain, OnRetry
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.recording_hooks import RecordingHooks

T = TypeVar("T")

BOOTSTRAP_LIMITS = RequestLimits(attempt=15.0, total=60.0)
POST_LIMITS = RequestLimits(attempt=10.0, total=300.0)
POLL_LIMITS = RequestLimits(attempt=10.0, total=10.0, attempts=1)
TRIAL_LIMITS = RequestLimits(attempt=10.0, total=10.0, attempts=1)
REPORT_LIMITS = RequestLimits(attempt=15.0, total=60.0)
"""The orchestrator stops the container before it responds, which takes 10 s if a process there ignores SIGTERM. After a
signal, the shutdown's scope limits an attempt to what is left of the grace.
"""

MALFORMED_ATTEMPTS = 3
"""Malformed 2xx responses before a request fails. A proxy may have sent the first ones."""


class OrchestratorClient:
    """The contract's requests for one job. An async context manager; use its methods only within it.

    Every method raises `RefusedError`, `SupersededError`, `UnreachableError` or `BadReplyError`, or their base,
    `OrchestratorError`, when the URL can't be requested.

    A client is one start of a worker (contract, 'Starts'): call `job` before any other method.

    Attributes:
        llm_requests: the number of requests to the model, without retries.
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
        # The job's time-out applies from the start, before the job was fetched.
        self._bootstrap = msgspec.structs.replace(BOOTSTRAP_LIMITS, total=min(BOOTSTRAP_LIMITS.total, config.timeout))
        # Attempts continue until the job's deadline, which comes before this total: a refusal fails at once.
        self._llm = RequestLimits(attempt=config.llm_timeout, total=config.timeout, reply_bytes=MAX_LLM_REPLY_BYTES)
        base = f"{config.orchestrator_url.rstrip('/')}/worker/{config.job_id}/"
        headers = {"Authorization": f"Bearer {config.token}", START_HEADER: os.urandom(16).hex()}
        self._connection = open_connection(base, headers, transport)
        self._recorder = recorder
        self._sender = RetryingSender(
            self._connection,
            base,
            rng=rng or random.Random(),  # noqa: S311 - jitter, not a secret
            tracer=tracer,
            recorder=recorder,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.aclose()

    @property
    def retries(self) -> int:
        """How many attempts were retries, over all requests."""
        return self._sender.retries

    @property
    def resent_events(self) -> int:
        """How many attempts sent an event again."""
        return self._sender.resent_events

    def when_superseded(self, listener: Callable[[SupersededError], None]) -> None:
        """Call `listener` when the orchestrator serves another start. It may cancel the task that made the request."""
        self._sender.on_superseded = listener

    async def job(self) -> wire.JobDescription:
        """`GET job`."""
        return await self._decoded("GET", "job", _job, self._bootstrap)

    async def credentials(self) -> tuple[wire.Credential, ...]:
        """`GET credentials`: the credentials granted to this job, often none."""
        return await self._decoded("GET", "credentials", _credentials, self._bootstrap, accept=frozenset({204, 404}))

    async def complete_chat(
        self, request: wire.CompletionRequest, on_retry: OnRetry | None = None, *, iteration: int = 0
    ) -> wire.Reply:
        """`POST llm/complete`: a text reply. `on_retry` is called with the reason of the first retry.

        `iteration` is the job's, for the orchestrator to show.

        Raises:
            ContextLengthError: the conversation is longer than the model's context.
            MaxTokensError: `max_tokens` is more than the model server accepts.
            ModelRefusedError: the model server refused the request, and no retry can change that.
        """
        return await self._llm_request("llm/complete", _encode(request), on_retry, iteration)

    async def complete_with_tools(
        self, request: wire.ToolCompletionRequest, on_retry: OnRetry | None = None, *, iteration: int = 0
    ) -> wire.Reply:
        """`POST llm/complete_with_tools`: a reply that may contain tool calls. Otherwise as `complete_chat`."""
        return await self._llm_request("llm/complete_with_tools", _encode(request), on_retry, iteration)

    async def prompt(self) -> wire.Prompt | None:
        """`GET prompt`, without retries: the next follow-up, None when none is waiting."""
        return await self._decoded("GET", "prompt", _prompt, POLL_LIMITS, accept=frozenset({204}))

    async def post(self, path: str, body: bytes, patience: float = math.inf) -> None:
        """`POST event` or `POST status`, for an entry of the outbox.

        Raises:
            ServerFailingError: it got only 5xx responses for `patience` seconds.
        """
        limits = msgspec.structs.replace(POST_LIMITS, failing=patience)
        await self._sender.send("POST", path, limits, _ignore, body=body)

    async def post_once(self, path: str, body: bytes) -> None:
        """As `post`, without retries."""
        await self._sender.send("POST", path, TRIAL_LIMITS, _ignore, body=body)

    async def report(self, report: wire.CompletionReport, delivery: ReportDelivery) -> None:
        """`POST complete`, until the orchestrator accepts it.

        The orchestrator revokes the token before it responds. If an earlier attempt may have arrived, a refusal
        therefore means that it did.
        """
        try:
            await self._sender.send("POST", "complete", REPORT_LIMITS, _ignore, body=_encode(report), delivery=delivery)
        except RefusedError as error:
            if not (delivery.may_have_arrived and error.status in {401, 404}):
                raise
            logger.debug("complete: {} after an attempt that may have arrived, so it did", error.status)

    async def _llm_request(self, path: str, body: bytes, on_retry: OnRetry | None, iteration: int) -> wire.Reply:
        self.llm_requests += 1
        headers = {ITERATION_HEADER: str(iteration)}
        with self._recorder.llm_request(path, body) if self._recorder else nullcontext():
            return await self._decoded(
                "POST",
                path,
                reply_or_failure,
                self._llm,
                body=body,
                headers=headers,
                explain=model_failure,
                on_retry=on_retry,
            )

    async def _decoded(
        self,
        method: str,
        path: str,
        decode: Callable[[bytes], T],
        limits: RequestLimits,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        accept: frozenset[int] = frozenset(),
        explain: Explain | None = None,
        on_retry: OnRetry | None = None,
    ) -> T:
        """Send a request and decode its response. A status in `accept` counts as a success with an empty body."""
        malformed = 0

        def read(response: HttpResponse) -> T:
            nonlocal malformed
            try:
                return decode(b"" if response.status in accept else response.body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                malformed += 1
                reason = f"{method} {path}: {response.status} with a body that violates the contract: {error}"
                if malformed < MALFORMED_ATTEMPTS and limits.attempts is None:
                    raise TransientError(reason) from error
                raise BadReplyError(reason) from error

        return await self._sender.send(
            method,
            path,
            limits,
            read,
            body=body,
            headers=headers,
            accept=accept,
            explain=explain,
            on_retry=on_retry,
        )


def _ignore(_: HttpResponse) -> None:
    """For requests whose response has no content."""


_encode = msgspec.json.encode
_job = msgspec.json.Decoder(wire.JobDescription).decode
_decode_prompt = msgspec.json.Decoder(wire.Prompt).decode
_decode_credentials = msgspec.json.Decoder(tuple[wire.Credential, ...]).decode


def _prompt(body: bytes) -> wire.Prompt | None:
    return _decode_prompt(body) if body else None


def _credentials(body: bytes) -> tuple[wire.Credential, ...]:
    return _decode_credentials(body) if body else ()
