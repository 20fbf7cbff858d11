"""The backend for OpenAI-compatible servers, against a test server over real HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.serving import serving
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.protocol.wire import Message, ToolCall, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from trioworker.protocol.wire import Reply

KEY = "sk-test-0123456789abcdef"
SHELL = ToolDefinition(name="shell", description="runs", parameters={"type": "object", "properties": {}})
ASK = LlmRequest(
    messages=(Message(role="user", content="go"),), tools=(SHELL,), max_tokens=1024, temperature=0.7, tool_choice="auto"
)


class Server:
    """Answers each request with the next of `responses`, and all further ones with the last."""

    def __init__(self, *responses: Response, models: tuple[str, ...] = ("only",)) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._responses = list(responses)
        self._models = models

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._list, methods=["GET"]),
            ]
        )

    async def _chat(self, request: Request) -> Response:
        self.bodies.append(msgspec.json.decode(await request.body()))
        self.keys.append(request.headers.get("authorization"))
        return self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"data": [{"id": name} for name in self._models]})


def completion(message: dict[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Response:
    return JSONResponse({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


def calling(arguments: object, **fields: Any) -> Response:
    call = {"id": "c1", "type": "function", "function": {"name": "shell", "arguments": arguments}, **fields}
    return completion({"content": None, "tool_calls": [call]}, "tool_calls")


def calls_of(reply: Reply) -> list[ToolCall]:
    return list(reply.tool_calls or ())


def refusal(status: int, message: str, **headers: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status, headers)


@asynccontextmanager
async def backend(server: Server, model: str | None = "m") -> AsyncGenerator[OpenAIBackend]:
    async with serving(server.app()) as url:
        opened = OpenAIBackend(f"{url}/v1/", model)
        yield opened
        await opened.aclose()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_text_and_token_counts_are_returned() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}
    server = Server(completion({"content": "hi"}, usage=usage))
    async with backend(server) as model:
        reply = await model.complete(ASK)

    assert (reply.content, reply.tool_calls, reply.ended_by) == ("hi", (), "stop")
    assert (reply.input_tokens, reply.output_tokens, reply.cache_read_input_tokens) == (9, 4, 3)
    assert server.keys == [f"Bearer {KEY}"]


async def test_a_request_is_converted_to_openais_format() -> None:
    call = ToolCall(id="c1", name="shell", arguments={"command": "ls"}, signature=msgspec.Raw(b'{"s":1}'))
    request = msgspec.structs.replace(
        ASK,
        messages=(
            Message(role="system", content="You are"),
            Message(role="assistant", content="", tool_calls=(call,), reasoning=msgspec.Raw(b'"because"')),
            Message(role="tool", content="a.py", tool_call_id="c1", name="shell"),
        ),
        stop_sequences=("END",),
    )
    server = Server(completion({"content": "hi"}))
    async with backend(server) as model:
        await model.complete(request)

    function = {"name": "shell", "arguments": '{"command":"ls"}'}
    assert server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "You are"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": {"s": 1}}],
                    "reasoning": "because",
                },
                {"role": "tool", "content": "a.py", "tool_call_id": "c1"},
            ],
            "max_tokens": 1024,
            "temperature": 0.7,
            "stop": ["END"],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "shell",
                        "description": "runs",
                        "parameters": {"type": "object", "properties": {}},
                    },
                }
            ],
            "tool_choice": "auto",
        }
    ]


async def test_without_tools_neither_tools_nor_tool_choice_is_sent() -> None:
    server = Server(completion({"content": "hi"}))
    async with backend(server) as model:
        await model.complete(msgspec.structs.replace(ASK, tools=None))
        await model.complete(msgspec.structs.replace(ASK, tools=()))

    assert not any({"tools", "tool_choice"} & body.keys() for body in server.bodies)


@pytest.mark.parametrize(
    ("sent", "arguments", "problem"),
    [
        ('{"command": "ls"}', {"command": "ls"}, False),
        ({"command": "ls"}, {"command": "ls"}, False),
        ("", {}, False),
        (None, {}, False),
        ("[1]", [1], False),
        ('{"command": "ls', {}, True),
        ("[" * 100_000, {}, True),
    ],
)
async def test_arguments_are_decoded(sent: object, arguments: object, problem: bool) -> None:
    async with backend(Server(calling(sent))) as model:
        reply = await model.complete(ASK)

    assert reply.ended_by == "tool_use"
    (call,) = calls_of(reply)
    assert (call.id, call.name, call.arguments) == ("c1", "shell", arguments)
    assert isinstance(call.arguments_parse_error, str) == problem


async def test_a_call_without_an_id_gets_one_and_keeps_its_signature() -> None:
    async with backend(Server(calling("{}", id=None, extra_content={"google": {"thought_signature": "x"}}))) as model:
        (first,) = calls_of(await model.complete(ASK))
        (second,) = calls_of(await model.complete(ASK))

    assert first.id != second.id
    assert isinstance(first.signature, msgspec.Raw)
    assert msgspec.json.decode(first.signature) == {"google": {"thought_signature": "x"}}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filter"),
        ("odd", "unknown"),
        (None, "unknown"),
    ],
)
async def test_finish_reasons_are_mapped(given: str | None, reason: str) -> None:
    async with backend(Server(completion({"content": "hi"}, given))) as model:
        assert (await model.complete(ASK)).ended_by == reason


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "refusal": "I won't"}, "I won't"),
        ({"content": ""}, ""),
        ({}, None),
    ],
)
async def test_each_form_of_content_is_accepted(message: dict[str, Any], content: str | None) -> None:
    async with backend(Server(completion(message))) as model:
        assert (await model.complete(ASK)).content == content


async def test_null_reasoning_is_dropped_and_other_reasoning_is_kept() -> None:
    responses = completion({"content": "a", "reasoning": None}), completion({"content": "a", "reasoning": "because"})
    async with backend(Server(*responses)) as model:
        absent, kept = await model.complete(ASK), await model.complete(ASK)

    assert absent.reasoning is msgspec.UNSET
    assert msgspec.json.encode(kept.reasoning) == b'"because"'


async def test_requests_adapt_to_a_renamed_limit_and_a_refused_temperature() -> None:
    server = Server(
        refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        refusal(400, "Unsupported value: 'temperature' does not support 0.7."),
        completion({"content": "hi"}),
    )
    async with backend(server) as model:
        assert (await model.complete(ASK)).content == "hi"
        await model.complete(ASK)

    assert len(server.bodies) == 4
    for body in server.bodies[2:]:
        assert body["max_completion_tokens"] == 1024
        assert not {"max_tokens", "temperature"} & body.keys()


async def test_a_server_that_keeps_refusing_is_asked_three_times() -> None:
    server = Server(refusal(400, "max_completion_tokens and temperature are wrong"))
    async with backend(server) as model:
        with pytest.raises(LlmRefusedError):
            await model.complete(ASK)

    assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_final_refusal_quotes_the_reason_without_the_key(status: int) -> None:
    async with backend(Server(refusal(status, f"Incorrect API key\nprovided: {KEY}"))) as model:
        with pytest.raises(LlmRefusedError, match=rf"answered {status}: Incorrect API key provided: \[key\]\Z"):
            await model.complete(ASK)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_transient_failure_forwards_retry_after(status: int) -> None:
    async with backend(Server(refusal(status, "busy", **{"Retry-After": "3"}))) as model:
        with pytest.raises(LlmError, match=f"answered {status}: busy") as caught:
            await model.complete(ASK)

    assert not isinstance(caught.value, LlmRefusedError)
    assert caught.value.retry_after == "3"


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (Response("<html>gateway</html>"), "is invalid: "),
        (JSONResponse({"object": "x"}), "missing required field `choices`"),
        (JSONResponse({"choices": []}), "has no choices"),
        (Response("<html>\nbad gateway</html>", 502), "answered 502: <html> bad gateway</html>"),
        (Response(status_code=500), "answered 500: no reason given"),
        (JSONResponse({"error": "plain"}, 500), "answered 500: plain"),
    ],
)
async def test_an_invalid_response_is_an_error_with_the_reason(response: Response, message: str) -> None:
    async with backend(Server(response)) as model:
        with pytest.raises(LlmError, match=message):
            await model.complete(ASK)


async def test_an_unreachable_server_is_an_error_with_its_url() -> None:
    async with serving(Server(completion({})).app()) as url:
        pass
    model = OpenAIBackend(url, "m")
    with pytest.raises(LlmError, match=r"POST http://127\.0\.0\.1:\d+/chat/completions: ConnectError"):
        await model.complete(ASK)
    await model.aclose()


async def test_the_only_model_is_used_and_several_models_are_listed() -> None:
    server = Server(completion({"content": "hi"}))
    async with backend(server, model=None) as model:
        await model.complete(ASK)
    assert server.bodies[0]["model"] == "only"

    async with backend(Server(completion({}), models=("a", "b")), model=None) as model:
        with pytest.raises(LlmRefusedError, match=r"has 2 models; choose one with --model NAME: a, b"):
            await model.complete(ASK)


async def test_many_concurrent_requests_are_answered() -> None:
    server = Server(completion({"content": "hi"}))
    async with backend(server) as model, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(model.complete, ASK)

    assert len(server.bodies) == 30
