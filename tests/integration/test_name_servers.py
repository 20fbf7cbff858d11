"""A job whose first name server is down: lookups take 5 s, and the job succeeds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import TOKEN_VARIABLE, WAIT_TIMEOUT
from support.realjob import RealJob, real_orchestrator
from trioworker.testing import DONE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

DOWN, UP = "127.0.0.2", "127.0.0.3"
"""Addresses of name servers. Only root may bind their port, and replace the configuration of one process."""
IN_NAMESPACE = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
A_RECORD, HEADER_BYTES = 1, 12


@contextmanager
def bound(address: str) -> Generator[trio.socket.SocketType]:
    """A socket for a name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind((address, 53))
        except OSError as error:
            pytest.skip(f"the port of name servers can't be bound: {error.strerror}")
        server.setblocking(False)
        yield trio.socket.from_stdlib_socket(server)


async def answer(server: trio.socket.SocketType, names: list[str]) -> None:
    """Answer each query: every name is 127.0.0.1, and has no other record."""
    while True:
        query, client = await server.recvfrom(512)
        end = query.index(0, HEADER_BYTES) + 5
        question = query[HEADER_BYTES:end]
        names.append(question[1 : 1 + question[0]].decode())
        is_address = int.from_bytes(question[-4:-2]) == A_RECORD
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01" if is_address else b""
        counts = b"\x00\x01" + (b"\x00\x01" if record else b"\x00\x00") + bytes(4)
        await server.sendto(query[:2] + b"\x81\x80" + counts + question + record, client)


def can_mount() -> bool:
    return bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-m", "true"], check=False).returncode


async def test_job_succeeds_although_the_first_name_server_is_down(store: Store, workspace: Path) -> None:
    if os.geteuid() != 0 or not can_mount():
        pytest.skip("replacing the resolver's configuration needs root and a mount namespace")
    resolver = workspace.parent / "resolv.conf"
    resolver.write_text(f"nameserver {DOWN}\nnameserver {UP}\n")
    names: list[str] = []
    with bound(DOWN), bound(UP) as server:
        async with real_orchestrator(store, [DONE]) as orchestrator, trio.open_nursery() as nursery:
            nursery.start_soon(answer, server, names)
            url = orchestrator.url.replace("127.0.0.1", "orchestrator.test")
            job = RealJob(orchestrator, workspace)
            worker = [sys.executable, "-m", "trioworker", "worker", "--job-id", job.id, "--orchestrator-url", url]
            with trio.fail_after(WAIT_TIMEOUT):
                ended = await trio.run_process(
                    ["unshare", "-m", "sh", "-c", IN_NAMESPACE, str(resolver), *worker],
                    env={**os.environ, TOKEN_VARIABLE: job.token},
                    cwd=workspace,
                    capture_stderr=True,
                    check=False,
                )
            nursery.cancel_scope.cancel()
    assert ended.returncode == 0, ended.stderr.decode()
    assert job.report.success
    assert set(names) == {"orchestrator"}
