"""Asking the model: builds the requests of one iteration and sends them through the orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.protocol import wire
from trioworker.worker.llm.interpretation import holds_calls

if TYPE_CHECKING:
    from trioworker.worker.client.orchestrator_client import OrchestratorClient
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.tools.registry import Registry

SELECT_TOKENS = 1024
RESPOND_TOKENS = 4096
TEMPERATURE = 0.7
"""The values of the LLM requests (contract, 'HTTP')."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, and what it cost: requests to the model, and seconds including retries."""

    reply: wire.Reply
    requests: int
    seconds: float


class Model:
    """The model, as the reasoner sees it."""

    def __init__(self, client: OrchestratorClient, registry: Registry, config: WorkerConfig) -> None:
        self._client = client
        self._registry = registry
        self._mode = config.reasoning

    async def ask(self, messages: tuple[msgspec.Raw, ...], *, with_tools: bool, has_calls: bool) -> Answer:
        """Send the conversation, and return the reply. Without tools the reply is text.

        `has_calls` says whether the conversation contains tool calls.

        Raises:
            ContextLengthError: the conversation is longer than the model's context.
            ModelRefusedError: the model server refused the request, and no retry can change that.
            OrchestratorError: no reply came.
        """
        started, requests = trio.current_time(), self._client.llm_requests
        reply = await (self._with_tools(messages) if with_tools else self._text(messages))
        return Answer(reply=reply, requests=self._client.llm_requests - requests, seconds=trio.current_time() - started)

    async def _text(self, messages: tuple[msgspec.Raw, ...]) -> wire.Reply:
        return await self._client.complete_chat(
            wire.CompletionRequest(messages=messages, max_tokens=RESPOND_TOKENS, temperature=TEMPERATURE)
        )

    async def _with_tools(self, messages: tuple[msgspec.Raw, ...]) -> wire.Reply:
        if self._mode == "single":
            return await self._client.complete_with_tools(self._request(messages, RESPOND_TOKENS, TEMPERATURE))
        reply = await self._client.complete_with_tools(self._request(messages, SELECT_TOKENS, None))
        if holds_calls(reply, self._registry.names):
            return reply
        response = await self._client.complete_with_tools(self._request(messages, RESPOND_TOKENS, TEMPERATURE))
        return _with_tokens_of_both(reply, response)

    def _request(
        self, messages: tuple[msgspec.Raw, ...], max_tokens: int, temperature: float | None
    ) -> wire.ToolCompletionRequest:
        return wire.ToolCompletionRequest(
            messages=messages,
            tools=self._registry.encoded,
            max_tokens=max_tokens,
            temperature=temperature,
            tool_choice="auto",
        )


def _with_tokens_of_both(select: wire.Reply, response: wire.Reply) -> wire.Reply:
    return msgspec.structs.replace(
        response,
        input_tokens=(select.input_tokens or 0) + (response.input_tokens or 0),
        output_tokens=(select.output_tokens or 0) + (response.output_tokens or 0),
    )
