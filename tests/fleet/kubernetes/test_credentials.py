"""Logins are shared by all requests, renewed in time, and renewed after a 401."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support.kubeconfigs import kubeconfig, write
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.login.credentials import FETCH_PAUSE, Login, LoginAuth, LoginError
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.fleet.kubernetes.login.user_login import READ_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock


class Source:
    """Gives the tokens `t1`, `t2` and so on. Each takes a second, and expires after `lifetime` seconds."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.fetches = 0
        self.failure = ""
        self.certificate: bytes | None = None

    async def fetch(self) -> Login:
        self.fetches += 1
        await trio.sleep(1)
        if self.failure:
            raise LoginError(self.failure)
        expires = trio.current_time() + self.lifetime
        return Login(authorization=f"Bearer t{self.fetches}", certificate=self.certificate, expires=expires)


class Server:
    """Accepts the tokens in `valid`, or all of them."""

    def __init__(self) -> None:
        self.valid: set[str] | None = None
        self.seen: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.seen.append(token)
        return httpx.Response(200 if self.valid is None or token in self.valid else 401)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def installed() -> list[bytes]:
    return []


@pytest.fixture
def client(source: Source, server: Server, installed: list[bytes]) -> httpx.AsyncClient:
    async def install(certificate: bytes) -> None:
        installed.append(certificate)

    auth = LoginAuth(source, install)
    return httpx.AsyncClient(base_url="https://kube.test", auth=auth, transport=httpx.MockTransport(server))


async def statuses(client: httpx.AsyncClient, count: int) -> list[int]:
    """Send `count` concurrent requests; return their statuses, 0 for a failed login."""
    found: list[int] = []

    async def send() -> None:
        try:
            found.append((await client.post("/", content=b"body")).status_code)
        except LoginError:
            found.append(0)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(send)
    return found


async def test_concurrent_requests_share_one_login(
    source: Source, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    assert await statuses(client, 100) == [200] * 100
    assert source.fetches == 1


async def test_login_is_renewed_when_it_expires(
    source: Source, server: Server, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    source.lifetime = 60
    await statuses(client, 2)
    await trio.sleep(59)
    await statuses(client, 1)
    await trio.sleep(2)
    await statuses(client, 2)
    assert server.seen == ["t1", "t1", "t1", "t2", "t2"]


async def test_refused_login_is_renewed_once_for_all_requests(
    source: Source, server: Server, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    server.valid = {"t2"}
    assert await statuses(client, 100) == [200] * 100
    assert source.fetches == 2


async def test_401_that_persists_is_returned_and_renews_the_login_rarely(
    source: Source, server: Server, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    server.valid = set()
    started = trio.current_time()
    for _ in range(100):
        assert await statuses(client, 3) == [401] * 3
        await trio.sleep(0.1)
    assert source.fetches <= 2 + (trio.current_time() - started) / FETCH_PAUSE
    server.valid = None
    assert await statuses(client, 1) == [200]


async def test_failed_login_is_the_error_of_all_requests_and_is_repeated_rarely(
    source: Source, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    source.failure = "the plugin failed"
    assert await statuses(client, 100) == [0] * 100
    assert source.fetches == 1
    with pytest.raises(LoginError, match="the plugin failed"):
        await client.get("/")
    source.failure = ""
    await trio.sleep(FETCH_PAUSE)
    assert await statuses(client, 1) == [200]
    assert source.fetches == 2


async def test_login_that_cannot_be_renewed_is_used_until_it_is_refused(
    source: Source, server: Server, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    source.lifetime = 60
    await statuses(client, 1)
    source.failure = "the plugin failed"
    await trio.sleep(61)
    assert await statuses(client, 10) == [200] * 10
    assert source.fetches == 2
    server.valid = set()
    assert await statuses(client, 10) == [0] * 10
    source.failure, server.valid = "", None
    await trio.sleep(FETCH_PAUSE)
    assert await statuses(client, 1) == [200]


async def test_cancelled_request_leaves_the_login_to_the_others(
    source: Source, client: httpx.AsyncClient, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(0.5):
        await client.get("/")
    assert await statuses(client, 2) == [200, 200]
    assert source.fetches == 2


async def test_certificate_is_installed_when_it_changes(
    source: Source, server: Server, client: httpx.AsyncClient, installed: list[bytes], autojump_clock: MockClock
) -> None:
    source.lifetime, source.certificate = 60, b"one"
    for certificate in (b"one", b"one", b"two"):
        source.certificate = certificate
        await statuses(client, 2)
        await trio.sleep(61)
    assert installed == [b"one", b"two"]


async def no_certificate(certificate: bytes) -> None:
    raise AssertionError


async def test_token_file_is_read_again_each_minute_and_after_a_401(tmp_path: Path, server: Server) -> None:
    """Without a virtual clock: it is read in a thread. Time passes by another start of the login's age."""
    token = tmp_path / "token"
    token.write_text("t1\n")
    login = find_cluster(write(tmp_path / "config", kubeconfig({"tokenFile": "token"})), None).login
    assert login is not None
    left = (await login.fetch()).expires - trio.current_time()
    assert READ_INTERVAL - 5 < left <= READ_INTERVAL < 60

    auth = LoginAuth(login, no_certificate)
    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(server)) as client:
        assert (await client.get("https://kube.test")).status_code == 200
        token.write_text("t2\n")
        server.valid = {"t2"}
        assert (await client.get("https://kube.test")).status_code == 200
        assert server.seen == ["t1", "t1", "t2"]
        server.valid = set()
        assert (await client.get("https://kube.test")).status_code == 401
        assert server.seen == ["t1", "t1", "t2", "t2"], "the same token is not sent twice"


async def test_token_file_that_is_gone_while_running_is_a_login_error(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t1")
    login = find_cluster(write(tmp_path / "config", kubeconfig({"tokenFile": "token"})), None).login
    assert login is not None
    token.unlink()
    with pytest.raises(LoginError, match=r"user 'u': tokenFile .*: no such file or directory; replace it, or log in"):
        await login.fetch()


async def test_token_replaces_an_unreadable_token_file(tmp_path: Path) -> None:
    config = kubeconfig({"tokenFile": "missing", "token": "spare"})
    login = find_cluster(write(tmp_path / "config", config), None).login
    assert login is not None
    assert (await login.fetch()).authorization == "Bearer spare"


async def test_first_login_that_fails_is_a_config_error(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t1")
    access = find_cluster(write(tmp_path / "config", kubeconfig({"tokenFile": "token"})), None)
    token.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        async with access.connect():
            pass


@pytest.mark.parametrize("show", [repr, str])
async def test_secrets_are_not_shown(tmp_path: Path, show: Callable[[object], str]) -> None:
    access = find_cluster(write(tmp_path / "config", kubeconfig({"token": "never-shown"})), None)
    assert access.login is not None
    assert "never-shown" not in show(access) + show(access.login) + show(await access.login.fetch())


@pytest.mark.parametrize("passes", [True, False])
async def test_login_that_fails_while_running_is_waited_for_before_the_fleet_stops(
    source: Source, server: Server, client: httpx.AsyncClient, autojump_clock: MockClock, passes: bool
) -> None:
    lines: list[str] = []
    kubernetes = KubernetesClient(client, "jobs", lines.append)
    with trio.move_on_after(600) as scope:
        await kubernetes.last_lines("pod", 1)
        source.failure, server.valid = "the plugin failed", set()
        started = trio.current_time()

        async def log_in() -> None:
            await trio.sleep(15)
            server.valid, source.failure = None, ""

        async with trio.open_nursery() as nursery:
            if passes:
                nursery.start_soon(log_in)
                await kubernetes.last_lines("pod", 1)
            else:
                with pytest.raises(ConfigError, match=r"can't be used without a login \(the plugin failed\); log in"):
                    await kubernetes.last_lines("pod", 1)
                assert 30 <= trio.current_time() - started < 40
    assert not scope.cancelled_caught
    assert "(the plugin failed); waiting for up to 30 s" in lines[0]
    assert len(lines) == (2 if passes else 1)
