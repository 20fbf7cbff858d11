"""The backend for OpenAI-compatible servers, against a test server over real HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.serving import serving
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.protocol.wire import Message, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request


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


class Strict(Server):
    """Refuses `max_tokens`, once five requests wait."""

    def __init__(self, *responses: Response) -> None:
        super().__init__(*responses)
        self._five = trio.Event()

    async def _chat(self, request: Request) -> Response:
        self.bodies.append(msgspec.json.decode(await request.body()))
        if len(self.bodies) == 5:
            self._five.set()
        await self._five.wait()
        if "max_tokens" in self.bodies[-1]:
            return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return completion({"content": "hi"})


def completion(message: dict[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Response:
    return JSONResponse({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


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


async def test_concurrent_requests_all_adapt() -> None:
    server = Strict()
    async with backend(server) as model, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(model.complete, ASK)

    assert len(server.bodies) == 10


async def test_too_large_a_max_tokens_is_not_renamed() -> None:
    reason = "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 "
    server = Server(refusal(400, reason + "tokens and your request has 3000 input tokens (16384 > 8192 - 3000)."))
    async with backend(server) as model:
        with pytest.raises(LlmRefusedError) as caught:
            await model.complete(ASK)

    assert caught.value.kind == "max_tokens"
    assert len(server.bodies) == 1


async def test_thoughts_return_to_a_server_under_its_name() -> None:
    server = Server(completion({"content": "hi", "reasoning_content": "because"}))
    async with backend(server) as model:
        reply = await model.complete(ASK)
        said = Message(
            role="assistant", content="hi", reasoning=reply.reasoning, reasoning_details=reply.reasoning_details
        )
        await model.complete(msgspec.structs.replace(ASK, messages=(*ASK.messages, said)))

    assert server.bodies[1]["messages"][1] == {"role": "assistant", "content": "hi", "reasoning_content": "because"}


@pytest.mark.parametrize(
    "reason",
    [
        "'messages.1' : for 'role:assistant' the following must be satisfied: property 'reasoning' is unsupported",
        "Extra inputs are not permitted: body.messages.1.assistant.reasoning_content",
    ],
)
async def test_a_server_that_refuses_thoughts_gets_none(reason: str) -> None:
    server = Server(refusal(400, reason), completion({"content": "hi"}))
    said = Message(role="assistant", content="hi", reasoning=msgspec.Raw(b'"because"'))
    async with backend(server) as model:
        for _ in range(2):
            await model.complete(msgspec.structs.replace(ASK, messages=(*ASK.messages, said)))

    assert [body["messages"][1].keys() for body in server.bodies] == [
        {"role", "content", "reasoning"},
        {"role", "content"},
        {"role", "content"},
    ]


async def test_a_server_that_requires_thoughts_is_not_asked_without_them() -> None:
    server = Server(refusal(400, "The `reasoning_content` in the thinking mode must be passed back to the API."))
    said = Message(role="assistant", content="hi", reasoning=msgspec.Raw(b'"because"'))
    async with backend(server) as model:
        with pytest.raises(LlmRefusedError):
            await model.complete(msgspec.structs.replace(ASK, messages=(*ASK.messages, said)))

    assert len(server.bodies) == 1


async def test_a_refusal_quotes_the_reason_without_the_key() -> None:
    async with backend(Server(refusal(401, f"Incorrect API key\nprovided: {KEY}"))) as model:
        with pytest.raises(
            LlmRefusedError,
            match=r"\Athe model server rejected the API key \(401\): Incorrect API key "
            r"provided: \[key\]\Z",
        ):
            await model.complete(ASK)


@pytest.mark.parametrize("response", [refusal(400, "x" * 480 + f" {KEY}"), Response(f"hello {KEY}")])
async def test_no_part_of_the_key_is_quoted(response: Response) -> None:
    async with backend(Server(response)) as model:
        with pytest.raises(LlmError) as caught:
            await model.complete(ASK)
    assert KEY[:8] not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
async def test_a_transient_failure_forwards_retry_after(status: int) -> None:
    async with backend(Server(refusal(status, "busy", **{"Retry-After": "3"}))) as model:
        with pytest.raises(LlmError, match=rf"\({status}\): busy\Z") as caught:
            await model.complete(ASK)

    assert not isinstance(caught.value, LlmRefusedError)
    assert caught.value.retry_after == "3"


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (Response("<html>gateway</html>"), "unavailable", r"is not a completion: .*: <html>gateway</html>\Z"),
        (Response("[]"), "unavailable", "is not a completion: not a JSON object"),
        (JSONResponse({"object": "x"}), "unavailable", "is not a completion: the response has no choices"),
        (JSONResponse({"error": {"message": "no credits left", "code": 402}}), "quota", r"\(402\): no credits left\Z"),
        (Response("<html>\nbad gateway</html>", 502), "unavailable", r"\(502\): <html> bad gateway</html>\Z"),
    ],
)
async def test_an_invalid_response_is_an_error_with_the_reason(response: Response, kind: str, message: str) -> None:
    async with backend(Server(response)) as model:
        with pytest.raises(LlmError, match=message) as caught:
            await model.complete(ASK)

    assert caught.value.kind == kind


async def test_odd_json_is_read() -> None:
    body = b'\xef\xbb\xbf{"choices": [{"message": {"content": "a\\ud800"}}], "usage": {"prompt_tokens": 9.0}}'
    async with backend(Server(Response(body))) as model:
        reply = await model.complete(ASK)

    assert (reply.content, reply.input_tokens) == ("a\ufffd", 9)


async def test_an_unreachable_server_is_an_error_with_its_address() -> None:
    async with serving(Server(completion({})).app()) as url:
        pass
    model = OpenAIBackend(url, "m")
    with pytest.raises(LlmError, match=r"\Aconnection refused \(127\.0\.0\.1:\d+\)\Z"):
        await model.complete(ASK)
    await model.aclose()


async def test_an_unknown_host_is_an_error_with_its_name() -> None:
    model = OpenAIBackend("http://model.invalid/v1", "m")
    with pytest.raises(LlmError, match=r"\(model\.invalid\)\Z"):
        await model.complete(ASK)
    await model.aclose()


async def test_a_slow_reply_does_not_time_out(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.sleep(3600)
        late = httpx.ByteStream(b'{"choices": [{"message": {"content": "late"}}]}')
        return httpx.Response(200, stream=late, request=request)

    model = OpenAIBackend("http://model.test/v1", "m", transport=httpx.MockTransport(answer))
    assert (await model.complete(ASK)).content == "late"
    await model.aclose()


async def test_the_only_model_is_used_and_several_models_are_listed() -> None:
    server = Server(completion({"content": "hi"}))
    async with backend(server, model=None) as model:
        await model.complete(ASK)
    assert server.bodies[0]["model"] == "only"

    async with backend(Server(completion({}), models=("a", "b")), model=None) as model:
        with pytest.raises(LlmRefusedError, match=r"lists 2 models; choose one with --model NAME: a, b"):
            await model.complete(ASK)


async def test_many_concurrent_requests_are_answered() -> None:
    server = Server(completion({"content": "hi"}))
    async with backend(server) as model, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(model.complete, ASK)

    assert len(server.bodies) == 30
