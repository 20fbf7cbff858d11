"""The check of the server, the key and the model before the first request."""

from __future__ import annotations

import re
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import pytest
import trio

from support.scripted_transport import ScriptedTransport, drip, hang, json, status
from support.tcp_server import tcp_server
from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.backends.model_check import CHECK_TIMEOUT, UnreachableModelServerError, check_model
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.orchestrator.backends.script import Turn
from trioworker.orchestrator.backends.script_file import ScriptBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from support.scripted_transport import ScriptedResponse

URL = "http://models.test/v1"
KEY = "sk-test-0123456789abcdef"
PAGE = status(200, b"\n<!doctype html><title>Chat</title>")
NOT_FOUND = status(404, b"<html><title>404 Not Found</title></html>")
SHORT = 5.0
"""Seconds within which a person knows that something is wrong."""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def backend(
    *responses: ScriptedResponse, model: str | None = "m", url: str = URL, **options: Any
) -> AsyncGenerator[tuple[OpenAIBackend, ScriptedTransport]]:
    transport = ScriptedTransport(*responses)
    opened = OpenAIBackend(url, model, transport=transport, **options)
    yield opened, transport
    await opened.aclose()


class SlowResolver(trio.abc.HostnameResolver):
    """A name server that doesn't answer."""

    async def getaddrinfo(self, *_: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        await trio.sleep_forever()

    async def getnameinfo(self, *_: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        await trio.sleep_forever()


async def check(*responses: ScriptedResponse, model: str | None = "m", url: str = URL, **options: Any) -> str | None:
    """The warning about a server with these responses."""
    async with backend(*responses, model=model, url=url, **options) as (opened, _):
        warning = await check_model(opened)
    assert warning is None or len(warning.splitlines()) == 1
    return warning


async def refusal(*responses: ScriptedResponse, model: str | None = "m", url: str = URL, **options: Any) -> str:
    """The error of a server with these responses."""
    with pytest.raises(ConfigError) as caught:
        await check(*responses, model=model, url=url, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert KEY not in message
    return message


def listing(*names: str) -> httpx.Response:
    return json({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


async def test_a_listed_model_passes_and_the_key_is_sent() -> None:
    async with backend(listing("a", "m")) as (opened, transport):
        assert await check_model(opened) is None
    (request,) = transport.arrivals
    assert (request.method, request.url) == ("GET", f"{URL}/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_a_backend_without_a_server_passes() -> None:
    assert await check_model(NoBackend()) is None
    assert await check_model(ScriptBackend([Turn(content="hi")])) is None


async def test_an_unlisted_model_is_a_warning_with_near_names() -> None:
    warning = await check(listing("gpt-4o", "gpt-4o-mini", "whisper-1"), model="gpt-4-o")
    assert warning == (
        "the model server does not list the model gpt-4-o: did you mean gpt-4o or gpt-4o-mini? It is requested anyway"
    )


async def test_an_unlisted_model_without_near_names_is_a_warning_with_some_names() -> None:
    warning = await check(listing(*"abcdefg"), model="llama")
    assert warning is not None
    assert "it lists a, b, c, d, e, …." in warning


async def test_without_a_model_the_only_one_is_used_for_requests() -> None:
    completion = json({"choices": [{"message": {"content": "hi"}}]})
    async with backend(listing("only"), completion, model=None) as (opened, transport):
        assert await check_model(opened) is None
        await opened.complete(LlmRequest(messages=()))
    assert opened.model == "only"
    assert [arrival.method for arrival in transport.arrivals] == ["GET", "POST"]


async def test_without_a_model_several_are_an_error_that_names_some() -> None:
    assert await refusal(listing(*"abcdef"), model=None) == (
        "the model server lists 6 models; choose one with --model NAME: a, b, c, d, e, …"
    )


async def test_without_a_model_an_empty_list_is_an_error_with_the_remedy() -> None:
    assert "lists no models; load one, or name one with --model NAME" in await refusal(listing(), model=None)


async def test_without_a_model_a_server_without_a_list_is_an_error_with_the_remedy() -> None:
    assert "does not list its models; name one with --model NAME" in await refusal(NOT_FOUND, model=None)


@pytest.mark.parametrize(
    "response", [NOT_FOUND, status(405), status(501), status(400, b"no"), json({"x": 1}), json([])]
)
async def test_a_server_without_a_list_passes(response: httpx.Response) -> None:
    warning = await check(response)
    assert warning is None or response.status_code in {200, 501}


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refused_key_is_an_error_that_names_its_variable(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"error": {"message": f"Incorrect API key\nprovided: {KEY}"}}
    assert await refusal(json(words, code)) == (
        f"the model server rejected the API key ({code}): Incorrect API key provided: [key]; "
        "set OPENAI_API_KEY to a valid key, or name another variable: --api-key-env"
    )
    monkeypatch.setenv("OTHER_KEY", KEY)
    assert "set OTHER_KEY to a valid key" in await refusal(json(words, code), api_key_variable="OTHER_KEY")


async def test_a_missing_key_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "requires an API key in OPENAI_API_KEY (401)" in await refusal(status(401))


@pytest.mark.parametrize(
    "words",
    [
        "You have insufficient permissions for this operation. Missing scopes: api.model.read.",
        "x-api-key header is required",
    ],
)
async def test_a_key_that_may_not_list_models_passes(words: str) -> None:
    assert await check(json({"error": {"message": words}}, 403)) is None


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_server_that_fails_is_a_warning(code: int) -> None:
    warning = await check(json({"error": {"message": "Loading model"}}, code), model=None)
    assert warning is not None
    assert warning.endswith(f" ({code}): Loading model; the model is not checked")


async def test_a_server_that_does_not_answer_is_a_warning_after_three_seconds(autojump_clock: MockClock) -> None:
    for response in (hang, drip):
        start = trio.current_time()
        warning = await check(response)
        assert warning == "the model server did not list its models within 3 s, so the model is not checked"
        assert trio.current_time() - start == CHECK_TIMEOUT


async def test_a_slow_name_server_is_only_a_warning(autojump_clock: MockClock) -> None:
    trio.socket.set_custom_hostname_resolver(SlowResolver())
    opened = OpenAIBackend(URL, "m")
    start = trio.current_time()
    assert "did not list its models within 3 s" in str(await check_model(opened))
    assert trio.current_time() - start == CHECK_TIMEOUT
    await opened.aclose()


async def test_an_absent_server_is_an_error_with_the_address() -> None:
    async with tcp_server(lambda stream: stream.aclose()) as port:
        pass
    absent = OpenAIBackend(f"http://user:secret@127.0.0.1:{port}/v1", "m")
    with pytest.raises(UnreachableModelServerError) as caught:
        await check_model(absent)
    await absent.aclose()
    assert str(caught.value) == (
        f"no connection to the model server: connection refused (127.0.0.1:{port}); "
        "check that it runs, and the URL in --llm"
    )


async def test_a_connection_that_takes_too_long_is_an_error() -> None:
    message = await refusal(httpx.ConnectTimeout("slow"), url_source="OPENAI_BASE_URL")
    assert message == (
        "no connection to the model server: no connection within 2.5 s (models.test); "
        "check that it runs, and the URL in OPENAI_BASE_URL"
    )


async def test_a_server_that_expects_tls_first_is_an_error_in_time() -> None:
    """A handshake that never ends counts as no connection."""

    async def wait(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with tcp_server(wait) as port:
        waiting = OpenAIBackend(f"https://127.0.0.1:{port}/v1", "m")
        with trio.fail_after(SHORT), pytest.raises(UnreachableModelServerError, match=r"no connection within 2\.5 s"):
            await check_model(waiting)
        await waiting.aclose()


async def test_a_base_url_without_its_version_is_an_error_with_the_right_url() -> None:
    for response in (NOT_FOUND, PAGE, json({"error": "Unexpected endpoint or method. (GET /models)"})):
        assert await refusal(response, listing("m"), url="http://models.test:11434/") == (
            "--llm: http://models.test:11434: the model server has no models there; use http://models.test:11434/v1"
        )


async def test_the_check_goes_through_the_proxy_of_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(await stream.receive_some())
        await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"data": [{"id": "m"}]}')

    async with tcp_server(serve) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        opened = OpenAIBackend(URL, "m")
        assert await check_model(opened) is None
        await opened.aclose()
    assert seen[0].startswith(b"GET http://models.test/v1/models HTTP/1.1\r\n")


async def test_a_web_page_is_an_error_with_the_remedy() -> None:
    assert "answers with a web page; use the URL of its API, which usually ends with /v1" in await refusal(PAGE)


async def test_a_redirect_is_an_error_with_the_other_url() -> None:
    message = await refusal(status(301, location="https://models.test/v1/models?next=secret"))
    assert message.endswith("the model server redirects; use https://models.test/v1")
    assert await check(status(307, location=f"{URL}/models/")) is None


async def test_plain_http_to_a_port_with_tls_is_an_error_with_the_other_url() -> None:
    for words in (b"Client sent an HTTP request to an HTTPS server.", b"The plain HTTP request was sent to HTTPS port"):
        assert "requires TLS; use https://models.test/v1" in await refusal(status(400, words))


async def test_the_page_has_the_message_of_each_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    check = page.partition("## The check at the start")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `([^`]+)` \|", check, re.MULTILINE)
    untrusted = ssl.SSLCertVerificationError()
    untrusted.verify_code, untrusted.verify_message = 18, "self-signed certificate"
    certificate = httpx.ConnectError("failed")
    certificate.__cause__ = untrusted
    refusals = [
        await refusal(httpx.ConnectError("refused")),
        await refusal(status(401)),
        await refusal(NOT_FOUND, listing("m"), url="http://models.test"),
        await refusal(PAGE),
        await refusal(status(301, location="http://other.test")),
        await refusal(certificate),
        await refusal(listing("a", "b"), model=None),
        await refusal(listing(), model=None),
    ]
    monkeypatch.delenv("OPENAI_API_KEY")
    refusals.append(await refusal(status(401)))

    assert len(shown) == len(refusals)
    assert [message for message in shown if not any(message in text for text in refusals)] == []
