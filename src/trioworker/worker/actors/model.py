"""Builds the requests to the model for one iteration, and sends them through the orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.errors import MaxTokensError
from trioworker.protocol import wire
from trioworker.worker.llm.interpretation import holds_calls

if TYPE_CHECKING:
    from trioworker.worker.client.retries import OnRetry
    from trioworker.worker.services import Services
    from trioworker.worker.state.job import Job

SELECT_TOKENS = 1024
TEMPERATURE = 0.7
"""The values of the LLM requests (contract, 'HTTP')."""
FALLBACK_TOKENS = 4096
"""`max_tokens` when the model server refuses the value and doesn't say which one it accepts (contract, 'HTTP')."""

MAX_LOWERINGS = 5
"""How often a request is repeated with a lower `max_tokens`: a server may always accept one less than was asked for."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, the number of requests that it took, and the seconds including retries."""

    reply: wire.Reply
    requests: int
    seconds: float


class Model:
    """The model, as the reasoner sees it."""

    def __init__(self, job: Job, services: Services, on_retry: OnRetry | None = None) -> None:
        """`on_retry` is called with the reason when a request is sent a second time."""
        self._job = job
        self._client = services.client
        self._registry = services.registry
        self._mode = services.config.reasoning
        self._max_tokens = services.config.max_tokens
        self._on_retry = on_retry

    async def ask(self, messages: tuple[msgspec.Raw, ...], *, with_tools: bool, has_calls: bool) -> Answer:
        """Send the conversation, and return the reply. Without tools, the reply is text.

        `has_calls` says whether the conversation contains tool calls: providers refuse such a conversation in a request
        that defines no tools.

        Raises:
            ContextLengthError: the conversation is longer than the model's context.
            ModelRefusedError: the model server refused the request, and no retry can change that.
            OrchestratorError: there was no reply.
        """
        started, requests = trio.current_time(), self._client.llm_requests
        if with_tools:
            reply = await self._with_tools(messages)
        elif has_calls:
            reply = await self._request(messages, "none")
        else:
            reply = await self._request(messages, None)
        return Answer(reply=reply, requests=self._client.llm_requests - requests, seconds=trio.current_time() - started)

    async def _with_tools(self, messages: tuple[msgspec.Raw, ...]) -> wire.Reply:
        if self._mode == "single":
            return await self._request(messages, "auto")
        reply = await self._request(messages, "auto", limit=SELECT_TOKENS, temperature=None)
        if holds_calls(reply, self._registry.names):
            return reply
        return _with_tokens_of_both(reply, await self._request(messages, "auto"))

    async def _request(
        self,
        messages: tuple[msgspec.Raw, ...],
        tool_choice: str | None,
        *,
        limit: int | None = None,
        temperature: float | None = TEMPERATURE,
    ) -> wire.Reply:
        """Send a request. Repeat it with a lower `max_tokens` if the model server refuses the value."""
        lowerings = 0
        while True:
            max_tokens = min(limit or self._max_tokens, self._max_tokens)
            try:
                return await self._send(messages, tool_choice, max_tokens, temperature)
            except MaxTokensError as error:
                if lowerings == MAX_LOWERINGS:
                    raise
                lowerings += 1
                self._max_tokens = _lowered(max_tokens, error)
                logger.info("max_tokens {} was refused, retrying with {}: {}", max_tokens, self._max_tokens, error)

    async def _send(
        self, messages: tuple[msgspec.Raw, ...], tool_choice: str | None, max_tokens: int, temperature: float | None
    ) -> wire.Reply:
        if tool_choice is None:
            text_request = wire.CompletionRequest(messages=messages, max_tokens=max_tokens, temperature=temperature)
            return await self._client.complete_chat(text_request, self._on_retry, iteration=self._job.iteration)
        request = wire.ToolCompletionRequest(
            messages=messages,
            tools=self._registry.encoded,
            max_tokens=max_tokens,
            temperature=temperature,
            tool_choice=tool_choice,
        )
        return await self._client.complete_with_tools(request, self._on_retry, iteration=self._job.iteration)


def _lowered(max_tokens: int, error: MaxTokensError) -> int:
    """The value to try after `max_tokens` was refused: what the model server accepts, or the fallback.

    Raises:
        MaxTokensError: neither is lower.
    """
    for lower in (error.allowed, FALLBACK_TOKENS):
        if lower is not None and 0 < lower < max_tokens:
            return lower
    raise error


def _with_tokens_of_both(select: wire.Reply, response: wire.Reply) -> wire.Reply:
    return msgspec.structs.replace(
        response,
        input_tokens=(select.input_tokens or 0) + (response.input_tokens or 0),
        output_tokens=(select.output_tokens or 0) + (response.output_tokens or 0),
    )
