"""Client certificates, server names and proxies, over real TLS connections."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from support.kubeconfigs import exec_user, kubeconfig, plugin, write
from support.tls import Authority
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.protocol.certificates import certificate_problem

if TYPE_CHECKING:
    from pathlib import Path


class Server:
    """Answers with the number of the connection and the name in the client's certificate; 401 to those in `refused`.

    It is also a proxy, for itself.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.authority = Authority(folder)
        self._folder = folder
        self._tls = self.authority.server(name)
        self._tls.verify_mode = ssl.CERT_OPTIONAL
        self._tls.load_verify_locations(self.authority.file)
        self.refused: set[str] = set()
        self.slow_started, self.slow = trio.Event(), trio.Event()
        self.connections = 0
        self.tunnels = 0

    def certificate(self, name: str) -> dict[str, str]:
        """A client certificate, as a plugin prints it."""
        self.authority.server(name)
        certificate, key = (self._folder / file for file in ("server.pem", "server.key"))
        return {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        number = self.connections
        if await _peek(stream) == b"C":
            await _head(stream)
            self.tunnels += 1
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        tls = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        try:
            while head := await _head(tls):
                name = _common_name(tls)
                if head.startswith(b"GET /slow"):
                    self.slow_started.set()
                    await self.slow.wait()
                body = f"{number} {name}".encode()
                status = b"401 Unauthorized" if name in self.refused else b"200 OK"
                await tls.send_all(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(tls)


async def _peek(stream: trio.SocketStream) -> bytes:
    return await stream.socket.recv(1, 2)  # MSG_PEEK


async def _head(stream: trio.abc.ReceiveStream) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        chunk = await stream.receive_some(1 if isinstance(stream, trio.SocketStream) else 65536)
        if not chunk:
            return b""
        head += chunk
    return head


def _common_name(tls: Any) -> str:
    subject: Any = (tls.getpeercert() or {"subject": ()})["subject"]
    return next((str(value) for part in subject for name, value in part if name == "commonName"), "nobody")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, "kube.internal")


@pytest.fixture
async def url(server: Server, nursery: trio.Nursery) -> str:
    listeners: list[trio.SocketListener] = await nursery.start(trio.serve_tcp, server.serve, 0)
    return f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"


def cluster(server: Server, url: str, **fields: Any) -> dict[str, Any]:
    authority = b64encode(server.authority.file.read_bytes()).decode()
    return {"server": url, "certificate-authority-data": authority, "tls-server-name": "kube.internal", **fields}


async def test_client_certificate_and_server_name_of_the_kubeconfig(tmp_path: Path, server: Server, url: str) -> None:
    pair = server.certificate("me")
    (tmp_path / "me.pem").write_text(pair["clientCertificateData"])
    key = b64encode(pair["clientKeyData"].encode()).decode()
    user = {"client-certificate": "me.pem", "client-key-data": key}
    access = find_cluster(write(tmp_path / "config", kubeconfig(user, cluster(server, url))), None)
    async with access.connect() as client:
        assert (await client.get("/")).text == "1 me"


async def test_another_name_in_the_servers_certificate_is_refused(tmp_path: Path, server: Server, url: str) -> None:
    config = kubeconfig(cluster=cluster(server, url, **{"tls-server-name": "kube.test"}))
    async with find_cluster(write(tmp_path / "config", config), None).connect() as client:
        with pytest.raises(httpx.ConnectError) as raised:
            await client.get("/")
    assert "hostname mismatch" in (certificate_problem(raised.value) or "")


async def test_unverified_server_may_have_any_name(tmp_path: Path, server: Server, url: str) -> None:
    config = kubeconfig(cluster={"server": url, "insecure-skip-tls-verify": True})
    async with find_cluster(write(tmp_path / "config", config), None).connect() as client:
        assert (await client.get("/")).status_code == 200


async def test_server_behind_a_proxy_has_the_name_of_the_kubeconfig(tmp_path: Path, server: Server, url: str) -> None:
    config = kubeconfig(cluster=cluster(server, url, **{"proxy-url": url.replace("https", "http")}))
    async with find_cluster(write(tmp_path / "config", config), None).connect() as client:
        assert (await client.get("/")).status_code == 200
    assert server.tunnels == 1


def log_in(folder: Path, status: dict[str, str]) -> None:
    """Let the plugin print this from now on."""
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (folder / "credential").write_text(json.dumps(credential))


async def test_new_certificate_of_a_plugin_replaces_the_connections_but_no_request(
    tmp_path: Path, server: Server, url: str, nursery: trio.Nursery
) -> None:
    user = exec_user(plugin(tmp_path / "plugin", f"cat {tmp_path}/credential"))
    access = find_cluster(write(tmp_path / "config", kubeconfig(user, cluster(server, url))), None)
    log_in(tmp_path, server.certificate("one"))
    slow: list[str] = []

    async def get_slowly(client: httpx.AsyncClient) -> None:
        slow.append((await client.get("/slow")).text)

    async with access.connect() as client:
        assert (await client.get("/")).text == "1 one"
        assert (await client.get("/")).text == "1 one"
        async with trio.open_nursery() as waiting:
            waiting.start_soon(get_slowly, client)
            await server.slow_started.wait()
            log_in(tmp_path, server.certificate("two"))
            server.refused = {"one"}
            assert (await client.get("/")).text.endswith(" two")
            server.refused = set()
            server.slow.set()
        assert slow == ["1 one"]
        assert (await client.get("/")).text.endswith(" two")
