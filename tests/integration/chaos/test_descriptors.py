"""No file descriptor leaks in a long job whose connections often break."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from support.process_invariants import process_violations
from support.realjob import real_orchestrator
from support.restartable import restartable_job
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from support.restartable import RestartableJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

TURN = reply(
    # A process that outlives its call holds a pipe of ours until it ends.
    call("shell", command="(setsid sleep 0.2 &); sleep 0.2 & echo CALL_ID >> log"),
    call("shell", command="echo CALL_ID >> log", workdir="."),
    call("write_file", path="a.txt", content="CALL_ID"),
    call("read_file", path="a.txt"),
    call("glob", pattern="*"),
    call("read_file", path="missing"),
)
TURNS = 12
FAULT_RATE = 0.2
"""The rate of faults in requests: about 40 faults."""
POLL_INTERVAL = 0.05
"""Seconds between two counts."""
MARGIN = 6
"""Descriptors that are open for a while: a connection for each actor's request, and two for a command."""


async def test_descriptors_do_not_leak(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts: list[int] = []
    async with (
        real_orchestrator(store, [TURN] * TURNS + [DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job", seed=7, fault_rate=FAULT_RATE) as job,
        job.start() as worker,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_count_descriptors, worker.pid, job, counts)
        ended = await worker.ended()
        nursery.cancel_scope.cancel()

    assert ended.code == 0, ended.err
    assert process_violations(job) == []
    assert len(job.lines) == 2 * TURNS
    half = len(counts) // 2
    early, late = max(counts[:half]), max(counts[half:])
    with capsys.disabled():
        calls = TURNS * len(TURN.tool_calls)
        print(f"\n{calls} calls, {job.proxy.fault_count} broken connections: {early} descriptors early, {late} late")
    assert late <= early + MARGIN


async def _count_descriptors(pid: int, job: RestartableJob, counts: list[int]) -> None:
    # The worker may have ended a moment before this task is cancelled.
    with suppress(FileNotFoundError):
        while True:
            if job.lines:
                counts.append(_open_files(pid))
            await trio.sleep(POLL_INTERVAL)


def _open_files(pid: int) -> int:
    """The open files of a process. Only root may count them; others see the size of its table, which doubles."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.findall(r"FDSize:\s*(\d+)", status)[0])
