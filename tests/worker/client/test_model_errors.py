"""Failures of the model: permanent ones fail at once with the provider's message, and the rest are retried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.requests import REPLY, TOOL_CHAT, Longest, ask_for_text, ask_with_tools, connect
from support.scripted_transport import ScriptedTransport, hang, json, status
from trioworker.errors import (
    BadReplyError,
    ContextLengthError,
    MaxTokensError,
    ModelRefusedError,
    OrchestratorError,
    RefusedError,
    UnreachableError,
)

if TYPE_CHECKING:
    import httpx
    from trio.testing import MockClock

    from support.requests import Request

KEY = "the model server rejected the API key (401): Incorrect API key provided"


def failing(kind: str, message: str, code: int = 422) -> httpx.Response:
    return json({"error": {"kind": kind, "message": message}}, code)


async def failure(response: httpx.Response, request: Request = ask_with_tools) -> OrchestratorError:
    """The error of a request that gets this response, at once."""
    transport = ScriptedTransport(response)
    async with connect(transport) as client:
        with pytest.raises(OrchestratorError) as caught:
            await request(client)
    assert len(transport.arrivals) == 1
    return caught.value


@pytest.mark.parametrize("kind", ["rejected", "quota"])
@pytest.mark.parametrize("request_", [ask_with_tools, ask_for_text])
async def test_refusal_fails_at_once_with_the_providers_words_and_no_url(
    kind: str, request_: Request, autojump_clock: MockClock
) -> None:
    error = await failure(failing(kind, f"{KEY}\n"), request_)
    assert type(error) is ModelRefusedError
    assert str(error) == KEY


async def test_context_length_has_the_limit_of_the_message(autojump_clock: MockClock) -> None:
    error = await failure(failing("context_length", "prompt is too long: 210000 tokens > 200000 maximum"))
    assert isinstance(error, ContextLengthError)
    assert error.limit == 200_000
    error = await failure(failing("context_length", "zu lang"))
    assert isinstance(error, ContextLengthError)
    assert (error.limit, str(error)) == (None, "zu lang")


async def test_refused_max_tokens_have_the_allowed_value_of_the_message(autojump_clock: MockClock) -> None:
    error = await failure(failing("max_tokens", "the valid range of max_tokens is [1, 8192]"))
    assert isinstance(error, MaxTokensError)
    assert error.allowed == 8192
    error = await failure(failing("max_tokens", "zu viel"))
    assert isinstance(error, MaxTokensError)
    assert error.allowed is None


async def test_known_words_in_a_plain_502_fail_at_once(autojump_clock: MockClock) -> None:
    error = await failure(status(502, b"LLM error: prompt is too long: 210000 tokens > 200000 maximum"))
    assert isinstance(error, ContextLengthError)
    error = await failure(status(502, b"max_tokens: 16384 > 8192, which is the maximum allowed"))
    assert isinstance(error, MaxTokensError)


@pytest.mark.parametrize(
    "response",
    [
        status(502, b"Incorrect API key provided"),
        status(502, b'{"error": "the model crashed"}'),
        status(502, b'{"error": {"message": "the model crashed"}}'),
        failing("unavailable", "connection refused", 502),
        failing("something_new", "connection refused", 502),
        json({"error": {"message": "overloaded"}}),
        json({"error": "overloaded"}),
        json({"error": {"kind": "unavailable", "message": "overloaded"}}),
    ],
)
async def test_any_other_failure_of_the_model_is_retried(response: httpx.Response, autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(response, response, response, response, json(REPLY))
    async with connect(transport) as client:
        await ask_with_tools(client)
    assert len(transport.arrivals) == 5


async def test_error_inside_a_200_is_an_error_and_no_empty_reply(autojump_clock: MockClock) -> None:
    error = await failure(json({"error": {"kind": "rejected", "message": KEY}}))
    assert str(error) == KEY
    error = await failure(json({"error": {"code": 400, "message": "prompt is too long: 9 tokens > 8192 maximum"}}))
    assert isinstance(error, ContextLengthError)


async def test_error_beside_a_reply_is_ignored(autojump_clock: MockClock) -> None:
    async with connect(ScriptedTransport(json({**REPLY, "error": {"message": "a warning"}}))) as client:
        await ask_with_tools(client)


async def test_unknown_words_in_a_4xx_are_the_orchestrators_refusal(autojump_clock: MockClock) -> None:
    assert isinstance(await failure(status(401, b"unauthorized")), RefusedError)
    assert isinstance(await failure(status(422, b"no such field")), RefusedError)


async def test_attempt_ends_after_the_llm_timeout_and_is_repeated_until_the_jobs_timeout(
    autojump_clock: MockClock,
) -> None:
    transport = ScriptedTransport(hang)
    async with connect(transport, rng=Longest(), llm_timeout=100.0, timeout=350.0) as client:
        with pytest.raises(UnreachableError, match="no complete response within 100 s"):
            await ask_with_tools(client)
    assert trio.current_time() == pytest.approx(350)
    assert transport.pauses == pytest.approx([100.1, 100.2, 100.4])


async def test_first_retry_is_reported_with_its_reason_once(autojump_clock: MockClock) -> None:
    reasons: list[str] = []

    async def on_retry(reason: str) -> None:
        reasons.append(reason)
        await trio.lowlevel.checkpoint()

    down = failing("unavailable", "connection refused", 502)
    async with connect(ScriptedTransport(down, down, down, json(REPLY))) as client:
        await client.complete_with_tools(TOOL_CHAT, on_retry)
        await client.complete_with_tools(TOOL_CHAT, on_retry)
    assert reasons == ["connection refused"]


async def test_empty_reply_is_valid(autojump_clock: MockClock) -> None:
    body: dict[str, Any] = {"error": None}
    async with connect(ScriptedTransport(json(body))) as client:
        assert (await client.complete_with_tools(TOOL_CHAT)).content is None


async def test_body_that_is_not_a_reply_is_malformed(autojump_clock: MockClock) -> None:
    async with connect(ScriptedTransport(json([{"error": "x"}]))) as client:
        with pytest.raises(BadReplyError):
            await ask_with_tools(client)
