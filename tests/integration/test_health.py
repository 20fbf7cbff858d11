"""`trioworker health` and a running worker: two real programs and a real socket."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from support.program import ran, until
from support.realjob import real_job
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

WAIT_FOR_GO = "touch began; while ! test -e go; do sleep 0.05; done"


async def test_running_worker_is_healthy_and_ended_one_is_not(store: Store, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "health.sock"
    environment = {"TRIOWORKER_HEALTH_SOCKET": str(path)}
    turns = [call("shell", command=WAIT_FOR_GO), DONE]
    async with real_job(store, workspace, turns, "--health-socket", str(path)) as job:
        await until((workspace / "began").exists)
        healthy = await ran("health", environment=environment)
        idle = await ran("health", "--max-idle", "0.000001", environment=environment)
        (workspace / "go").touch()
        ended = await job.ended()
    assert ended.code == 0, ended.err
    assert (healthy.code, healthy.err) == (0, "")
    health = json.loads(healthy.out)
    assert (health["state"], health["tools"], health["iteration"], health["job_id"]) == (
        "running tool",
        ["shell"],
        1,
        job.id,
    )
    assert job.token not in healthy.out
    assert idle.code == 1
    assert "over --max-idle" in idle.err

    assert not path.exists()
    gone = await ran("health", environment=environment)
    assert gone.code == 1
    assert gone.complaint == f"trioworker: no worker answers at {path}: No such file or directory; is one running?"


async def test_hanging_or_killed_worker_is_unhealthy(store: Store, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "health.sock"
    turns = [call("shell", command=WAIT_FOR_GO), DONE]
    async with real_job(store, workspace, turns, "--health-socket", str(path)) as job:
        await until((workspace / "began").exists)
        job.program.signal(signal.SIGSTOP)
        hanging = await ran("health", "--health-socket", str(path))
        job.program.signal(signal.SIGKILL)
        await job.ended()
        killed = await ran("health", "--health-socket", str(path))
    assert (hanging.code, killed.code) == (1, 1)
    assert hanging.complaint == f"trioworker: the worker at {path} did not answer within 5 s"
    assert "Connection refused" in killed.complaint
