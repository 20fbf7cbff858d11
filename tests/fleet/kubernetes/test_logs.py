"""Logs of pods are copied to files while they run: no line is lost or repeated, whatever the connections do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support.kubefleet import JOB
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.api.objects import (
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    PodSpec,
    PodStatus,
    Running,
    Terminated,
)
from trioworker.fleet.kubernetes.logs import CLOSE_TIMEOUT, MAX_STREAMS, open_live_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

RUNNING = ContainerState(running=Running())
ENDED = ContainerState(terminated=Terminated(exit_code=0))
WAITING = ContainerState()


def pod_of(name: str, state: ContainerState = RUNNING) -> Pod:
    status = PodStatus(container_statuses=(ContainerStatus(name="worker", state=state),))
    return Pod(metadata=Metadata(name=name, uid=f"uid-{name}"), spec=PodSpec(node_name="node-a"), status=status)


class Node:
    """The log of each pod: a line is written every second from second 1 to `lines`.

    Attributes:
        follows: whether it follows logs and gives times; otherwise it answers with what there is, as text only.
        cut_after: seconds after which it cuts each answer, within a line.
        status: that of its answers.
        open: the number of answers under way; `max_open` the highest one.
    """

    def __init__(self, lines: int = 10, *, follows: bool = True, cut_after: float = 1000) -> None:
        self.lines = lines
        self.follows = follows
        self.cut_after = cut_after
        self.status = 200
        self.open = self.max_open = self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.status != 200:
            return httpx.Response(self.status, json={"status": "Failure", "message": "no such log", "reason": "x"})
        return httpx.Response(200, stream=_Answer(self, request.url.params.get("sinceTime", "")))

    def line(self, number: int) -> bytes:
        # The API's `sinceTime` counts whole seconds.
        time = f"2026-01-01T00:00:{number // 2:02}.{number % 2}00000001Z " if self.follows else ""
        return f"{time}line {number}\n".encode()


class _Answer(httpx.AsyncByteStream):
    def __init__(self, node: Node, since: str) -> None:
        self._node = node
        self._since = since

    async def __aiter__(self) -> AsyncIterator[bytes]:
        node = self._node
        node.open += 1
        node.max_open = max(node.max_open, node.open)
        try:
            ends_at = trio.current_time() + node.cut_after
            for number in range(1, node.lines + 1):
                line = node.line(number)
                if self._since and line.decode() < self._since[:19]:
                    continue
                if trio.current_time() < number and not node.follows:
                    # What is written by now may end within a line.
                    yield line[:3]
                    return
                await trio.sleep_until(min(number, ends_at))
                if trio.current_time() >= ends_at:
                    yield line[:-2]
                    raise httpx.ReadError("cut")
                yield line
        finally:
            node.open -= 1


EXPECTED = "".join(f"line {number}\n" for number in range(1, 11))
HEADER = "==> a on node-a <==\n"


async def copy(folder: Path, node: Node, *, looks: int = 12) -> list[str]:
    """Copy the log of the pod `a`, which ends after `looks` seconds. Return what was shown."""
    shown: list[str] = []
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(node), base_url="http://kubernetes.test") as http,
        open_live_logs(KubernetesClient(http, "jobs", shown.append), folder, shown.append) as logs,
    ):
        logs.see(JOB, [pod_of("a", WAITING)])
        for _ in range(looks):
            logs.see(JOB, [pod_of("a")])
            await trio.sleep(1)
        logs.see(JOB, [pod_of("a", ENDED)])
        await logs.close()
    return shown


@pytest.mark.parametrize(
    "node",
    [Node(), Node(cut_after=3.5), Node(cut_after=1), Node(follows=False)],
    ids=["followed", "cut", "cut at each line", "not followed"],
)
async def test_each_line_is_written_once(tmp_path: Path, autojump_clock: MockClock, node: Node) -> None:
    assert await copy(tmp_path, node) == []
    assert (tmp_path / "1.log").read_text() == HEADER + EXPECTED


async def test_lines_are_written_while_the_pod_runs(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy, tmp_path, Node())
        await trio.sleep(5.5)
        assert (tmp_path / "1.log").read_text().endswith("line 4\nline 5\n")


@pytest.mark.parametrize("follows", [True, False])
async def test_next_fleet_continues_the_copy_of_a_log(tmp_path: Path, autojump_clock: MockClock, follows: bool) -> None:
    with trio.move_on_after(5.5):
        await copy(tmp_path, Node(follows=follows))
    assert (tmp_path / "1.log").read_text().startswith(HEADER + "line 1\n")
    await copy(tmp_path, Node(follows=follows))
    assert (tmp_path / "1.log").read_text() == HEADER + EXPECTED


async def test_pods_of_a_job_follow_each_other_in_its_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    node = Node(lines=1)
    transport = httpx.MockTransport(node)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://kubernetes.test") as http,
        open_live_logs(KubernetesClient(http, "jobs", print), tmp_path, print) as logs,
    ):
        logs.see(JOB, [pod_of("a")])
        await trio.sleep(3)
        logs.see(JOB, [pod_of("a", ENDED), pod_of("b")])
        await trio.sleep(3)
        logs.see(JOB, [pod_of("a", ENDED), pod_of("b", ENDED)])
        await logs.close()
    assert (tmp_path / "1.log").read_text() == f"{HEADER}line 1\n==> b on node-a <==\nline 1\n"


async def test_streams_are_bounded_and_the_rest_is_read_at_the_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    node = Node()
    pods = [f"p{number}" for number in range(MAX_STREAMS + 10)]
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(node), base_url="http://kubernetes.test") as http,
        open_live_logs(KubernetesClient(http, "jobs", print), tmp_path, print) as logs,
    ):
        logs.see(JOB, [pod_of(name) for name in pods])
        await trio.sleep(5)
        assert node.open == node.max_open == MAX_STREAMS
        await trio.sleep(7)
        await logs.close()
    text = (tmp_path / "1.log").read_text()
    assert all(text.count(f"line {number}\n") == len(pods) for number in (1, 10))


@pytest.mark.parametrize(("status", "shown"), [(404, []), (400, ["no such log"])])
async def test_log_that_is_gone_is_no_error(
    tmp_path: Path, autojump_clock: MockClock, status: int, shown: list[str]
) -> None:
    node = Node()
    node.status = status
    assert [line.rpartition(": ")[2] for line in await copy(tmp_path, node)] == shown
    assert node.requests < 10


async def test_fleet_does_not_wait_long_for_a_node_that_hangs(tmp_path: Path, autojump_clock: MockClock) -> None:
    node = Node(lines=100_000)
    started_at = trio.current_time()
    (shown,) = await copy(tmp_path, node)
    assert trio.current_time() - started_at == pytest.approx(12 + CLOSE_TIMEOUT)
    assert shown == f"--logs {tmp_path}: 1 log is incomplete: the cluster did not answer in time"


async def test_full_disk_is_reported_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    (tmp_path / "1.log").mkdir()
    (shown,) = await copy(tmp_path, Node())
    assert shown == f"--logs {tmp_path}: Is a directory"
