"""The way to the model server: proxies and certificates, by the variables that most programs use."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from support.loopback import Loopback
from support.tcp_server import tcp_server
from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.http_client import proxy_for
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.protocol.certificates import VARIABLES

if TYPE_CHECKING:
    import trio

    from support.tls import Authority

REQUEST = LlmRequest(messages=())
REPLY = b'{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://model.example/v1", "http://plain:1"),
        ("https://model.example/v1", "http://encrypted:2"),
        ("https://direct.example/v1", None),
        ("https://sub.direct.example/v1", None),
        ("http://localhost:8000/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://[::1]:8000/v1", None),
    ],
)
def test_proxy_is_chosen_by_the_variables(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "plain:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://encrypted:2")
    monkeypatch.setenv("ALL_PROXY", "socks://other:3")
    monkeypatch.setenv("NO_PROXY", "10.0.0.1,direct.example")
    assert proxy_for(url) == proxy


def test_proxy_for_everything_is_used_without_one_for_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert proxy_for("https://model.example/v1") == "http://all:1"


async def test_request_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY))

    async with tcp_server(serve) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{port}")
        backend = OpenAIBackend("http://model.example/v1", "m")
        assert (await backend.complete(REQUEST)).content == "Hello"
        await backend.aclose()
    assert seen[0].startswith(b"POST http://model.example/v1/chat/completions HTTP/1.1\r\n")


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="httpx[socks] is installed")
def test_socks_proxy_without_its_package_is_an_error_that_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY or ALL_PROXY: a SOCKS proxy needs .* 'httpx\[socks\]'$"):
        OpenAIBackend("https://model.example/v1", "m")
    OpenAIBackend("http://localhost:8000/v1", "m")


@pytest.mark.parametrize("proxy", ["ftp://user:secret@host:1", "http://user:secret@host:port", "http://[::secret"])
def test_unusable_proxy_is_an_error_without_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY or ALL_PROXY: not a usable proxy; use ") as caught:
        OpenAIBackend("https://model.example/v1", "m")
    assert "secret" not in str(caught.value)


def test_unusable_certificates_are_a_configuration_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(ConfigError, match=r"REQUESTS_CA_BUNDLE: /nowhere/ca\.pem: no such file"):
        OpenAIBackend("https://model.example/v1", "m")
    OpenAIBackend("http://model.example/v1", "m")


async def test_certificates_of_the_variable_are_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with Loopback(REPLY).running(authority.server()) as url:
        backend = OpenAIBackend(f"{url}/v1", "m")
        assert (await backend.complete(REQUEST)).content == "Hello"
        await backend.aclose()


async def test_certificate_that_is_not_trusted_is_final_and_the_remedy_is_named(authority: Authority) -> None:
    async with Loopback(REPLY).running(authority.server()) as url:
        backend = OpenAIBackend(f"{url}/v1", "m")
        with pytest.raises(LlmRefusedError, match=r"not trusted: .*; set SSL_CERT_FILE to .*\(localhost:"):
            await backend.complete(REQUEST)
        await backend.aclose()


async def test_refused_connection_may_pass() -> None:
    backend = OpenAIBackend("https://127.0.0.1:9/v1", "m")
    with pytest.raises(LlmError, match="refused") as caught:
        await backend.complete(REQUEST)
    await backend.aclose()
    assert not isinstance(caught.value, LlmRefusedError)
