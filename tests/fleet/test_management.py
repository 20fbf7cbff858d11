"""A fleet and an orchestrator on another machine: who gets the secret, and certificates of a private authority."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from orchestrator.serving import ADMIN_TOKEN, orchestrator
from support.fleets import RecordingObserver
from support.scripted_engine import LOST, ScriptedEngine
from support.tcp_server import tcp_server
from support.tls import Authority
from trioworker.errors import ConfigError
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.management import check_secret_stays_private, open_job_status
from trioworker.fleet.results import Results
from trioworker.fleet.scheduler import Scheduler
from trioworker.fleet.stopping import Stop
from trioworker.protocol.certificates import VARIABLES

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator
    from pathlib import Path

IN_CLUSTER = "http://orchestrator.jobs.svc.test:50051"
"""The workers' URL, which nothing outside the cluster resolves."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@asynccontextmanager
async def tls_proxy(target: str, tls: ssl.SSLContext) -> AsyncGenerator[str]:
    """A proxy that terminates TLS in front of an orchestrator; yields its URL."""

    async def copy(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
        try:
            while data := await source.receive_some():
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def serve(stream: trio.SocketStream) -> None:
        outside = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        inside = await trio.open_tcp_stream("127.0.0.1", int(target.rpartition(":")[2]))
        async with inside, trio.open_nursery() as nursery:
            nursery.start_soon(copy, outside, inside)
            nursery.start_soon(copy, inside, outside)

    async with tcp_server(serve) as port:
        yield f"https://localhost:{port}"


def job(job_id: str) -> FleetJob:
    return FleetJob(job_id=job_id, token="t", orchestrator_url=IN_CLUSTER, workspace=None, worker_options=())


async def test_a_fleet_elsewhere_records_the_outcome_of_a_lost_worker(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    engine = ScriptedEngine(LOST)
    async with orchestrator() as server, tls_proxy(server.url, authority.server()) as url:
        worker = await server.new_job()
        await worker.complete(message="All tests pass.")
        async with open_job_status(url, ADMIN_TOKEN) as job_status:
            with Results(tmp_path / "results.jsonl") as results:
                observer = RecordingObserver()
                scheduler = Scheduler(engine, job_status, results, observer, Stop(), parallel=1, attempts=3)
                await scheduler.run([job(worker.id)])
                result = results.done[worker.id]
    assert (result.status, result.success, result.message) == ("completed", True, "All tests pass.")
    assert engine.started == [worker.id]


async def test_an_untrusted_certificate_is_one_line_with_the_remedy(
    authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        orchestrator() as server,
        tls_proxy(server.url, authority.server()) as url,
        open_job_status(url, ADMIN_TOKEN) as job_status,
    ):
        for _ in range(2):
            assert await job_status.fetch_outcome(job("1")) == "unanswered"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trioworker: {url}: ended jobs can't be looked up: the server's certificate is not trusted")
    assert line.endswith("; set SSL_CERT_FILE to the PEM file of the authority that issued it")


async def test_unusable_certificates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with pytest.raises(ConfigError, match=r"^SSL_CERT_FILE: /nonexistent\.pem: no such file or directory; correct"):
        async with open_job_status("https://orchestrator.test", ADMIN_TOKEN):
            pass


@pytest.mark.parametrize(
    "url", ["http://orchestrator:50051", "HTTP://10.0.0.5:50051", "http://localhost.test", "http://[fd00::1]"]
)
def test_the_secret_is_not_sent_over_plain_http_to_another_machine(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_secret_stays_private(url)
    assert str(refused.value) == (
        f"--orchestrator-url {url}: plain HTTP would expose the orchestrator's secret on the network; use an https:// "
        "URL, or a tunnel to a port of this machine (kubectl port-forward, ssh -L)"
    )


@pytest.mark.parametrize(
    "url",
    ["https://orchestrator", "HTTPS://10.0.0.5", "http://127.0.0.1:50051", "http://localhost:1", "http://[::1]:1"],
)
def test_the_secret_is_sent_over_tls_and_within_this_machine(url: str) -> None:
    check_secret_stays_private(url)
