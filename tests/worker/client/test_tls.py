"""Connections with TLS: exchanges, trusted certificates, and what is said about those that aren't."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from support.loopback import Loopback
from support.requests import JOB, connect, post_event
from support.tcp_server import tcp_server
from trioworker.errors import ConfigError, OrchestratorError, UnreachableError
from trioworker.protocol.certificates import VARIABLES
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import HttpRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.loopback import Manner
    from support.tls import Authority

HUGE = 8 * 1024 * 1024
"""Bytes of a request that exceeds the socket buffers of both ends."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@asynccontextmanager
async def served(tls: ssl.SSLContext, manner: Manner = "keeps") -> AsyncGenerator[tuple[Loopback, str]]:
    server = Loopback(JOB.content, manner)
    async with server.running(tls) as url:
        yield server, url


async def error_at_first_contact(url: str) -> tuple[OrchestratorError, int]:
    async with connect(None, url=url) as client:
        with pytest.raises(OrchestratorError) as caught:
            await client.job()
        return caught.value, client.retries


@pytest.mark.parametrize("variable", VARIABLES)
async def test_certificates_of_each_variable_are_trusted(
    variable: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = authority.directory() if variable == "SSL_CERT_DIR" else authority.file
    monkeypatch.setenv(variable, str(place))
    async with served(authority.server()) as (server, url), connect(None, url=url) as client:
        for _ in range(3):
            assert (await client.job()).title == "Fix it"
            await post_event(client)
    assert server.connections == 1


async def test_connection_closed_by_the_server_causes_no_retry(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with served(authority.server(), "closes") as (server, url), connect(None, url=url) as client:
        for _ in range(4):
            await client.job()
            await trio.testing.wait_all_tasks_blocked(0.05)
        assert client.retries == 0
    assert server.connections == 4


async def test_huge_request_arrives(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with served(authority.server()) as (_, url):
        connection = open_connection(f"{url}/", {})
        sent: list[bool] = []
        for _ in range(2):
            request = HttpRequest("POST", "event", b"x" * HUGE, on_sent=lambda: sent.append(True))
            assert (await connection.exchange(request, 1000)).status == 200
        await connection.aclose()
    assert sent == [True, True]


async def test_unknown_authority_is_final_at_first_contact_and_the_remedy_is_named(authority: Authority) -> None:
    async with served(authority.server()) as (_, url):
        error, retries = await error_at_first_contact(url)
    assert "not trusted: unable to get local issuer certificate; set SSL_CERT_FILE to the PEM file" in str(error)
    assert "\n" not in str(error)
    assert retries == 0
    assert not isinstance(error, UnreachableError)


async def test_expired_certificate_is_named(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with served(authority.server(days=-1)) as (_, url):
        error, _ = await error_at_first_contact(url)
    assert "certificate has expired; renew it" in str(error)


async def test_certificate_for_another_name_is_named(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with served(authority.server("other.example")) as (_, url):
        error, _ = await error_at_first_contact(url)
    assert "certificate is not valid for 'localhost'; use a URL with a name" in str(error)


async def test_certificate_that_was_trusted_before_is_retried(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    # The renewal of a certificate may go wrong for a while.
    server = Loopback(JOB.content, "closes")
    contexts = [authority.server(), authority.server(days=-1)]
    async with server.running(*contexts) as url, connect(None, url=url) as client:
        await client.job()
        await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(UnreachableError, match="certificate has expired"):
            await client.prompt()


async def test_plain_http_behind_an_https_url_is_named() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(serve) as port, connect(None, url=f"https://127.0.0.1:{port}") as client:
        with pytest.raises(UnreachableError, match="cannot connect: the TLS handshake failed: wrong version number"):
            await client.prompt()


async def test_unusable_certificates_are_a_configuration_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE: .*missing\.pem: no such file or directory"):
        connect(None, url="https://localhost")
    connect(None, url="http://localhost")
