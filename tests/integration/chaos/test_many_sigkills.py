"""One job whose worker is killed many times in a row."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import pytest

from support.process_invariants import process_violations
from support.realjob import real_orchestrator
from support.restartable import restartable_job
from support.timed_signals import draw_moment, run_and_signal
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("TRIOWORKER_TEST_KILLS", "5"))
"""Kills of the one job. 200 take three to five minutes."""
REQUESTS = 8
"""The last request of a worker at which it may be killed: it makes about three per turn."""

TURNS = (
    *(
        reply(
            call("shell", command="echo CALL_ID >> log; sleep 0.05; seq 9000"),
            call("write_file", path="counter.txt", content=f"{number}\n" * 2000),
        )
        for number in range(2 * KILLS + 10)
    ),
    DONE,
)


async def test_a_job_killed_many_times_is_reported_once_and_leaves_no_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(KILLS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    options = ("--max-iterations=500", "--timeout=3600")
    async with (
        real_orchestrator(store, TURNS) as orchestrator,
        restartable_job(orchestrator, tmp_path, *options) as job,
    ):
        for kill in range(KILLS):
            moment = draw_moment(rng, REQUESTS, report=False)
            ended, _ = await run_and_signal(job, moment, signal.SIGKILL)
            assert ended.code == -signal.SIGKILL, f"kill {kill}, {moment}: exit {ended.code}: {ended.err}"
        async with job.start() as worker:
            ended = await worker.ended()
        assert ended.code == 0, ended.err
        assert process_violations(job, kills=KILLS) == []
        assert sorted(path.name for path in job.workspace.iterdir()) == ["counter.txt", "log"]
        assert [path.name for path in job.state_dir.iterdir() if path != job.journal] == []
        assert list(temporary.iterdir()) == []
