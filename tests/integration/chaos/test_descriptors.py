"""No file descriptor is lost over a long job whose connections break all the time."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from support.mortal import mortal_job, mortal_office
from support.promises import broken_promises
from support.world import DONE, calling

if TYPE_CHECKING:
    from support.mortal import MortalJob
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

TURN = calling(
    # A process that outlives its call holds a pipe of ours until it ends.
    ("shell", {"command": "(setsid sleep 0.2 &); sleep 0.2 & echo CALL_ID >> log"}),
    ("shell", {"command": "echo CALL_ID >> log", "workdir": "."}),
    ("write_file", {"path": "a.txt", "content": "CALL_ID"}),
    ("read_file", {"path": "a.txt"}),
    ("glob", {"pattern": "*"}),
    ("read_file", {"path": "missing"}),
)
TURNS = 12
DISTURBED = 0.2
"""Share of the requests through the proxy that disturbs: about 40 in all."""
LOOK_EVERY = 0.05
MARGIN = 6
"""Descriptors that come and go: a connection for each of the four actors' requests, and a command's two."""


async def test_descriptors_do_not_pile_up(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts: list[int] = []
    async with (
        mortal_office(store, [TURN] * TURNS + [DONE]) as place,
        mortal_job(place, tmp_path / "job", seed=7, share=DISTURBED) as job,
        job.life() as running,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_watch, running.program.pid, job, counts)
        ended = await running.ended()
        nursery.cancel_scope.cancel()

    assert ended.code == 0, ended.err
    assert broken_promises(job) == []
    assert len(job.lines) == 2 * TURNS
    half = len(counts) // 2
    early, late = max(counts[:half]), max(counts[half:])
    with capsys.disabled():
        calls = TURNS * len(TURN.tool_calls)
        print(f"\n{calls} calls, {job.proxy.disturbed} broken connections: {early} descriptors early, {late} late")
    assert late <= early + MARGIN


async def _watch(pid: int, job: MortalJob, counts: list[int]) -> None:
    while True:
        if job.lines:
            counts.append(_open_files(pid))
        await trio.sleep(LOOK_EVERY)


def _open_files(pid: int) -> int:
    """How many files a process has open. Root may count them; others are told the size of its table, which doubles."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.findall(r"FDSize:\s*(\d+)", status)[0])
