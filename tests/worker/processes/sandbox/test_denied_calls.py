"""Commands try to end, stop or slow down the worker by system calls, with and without Landlock."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from support.daemons import HARM
from support.identity import JOB_ID, TOKEN
from trioworker.linux import seccomp
from trioworker.worker.config import WorkerConfig
from trioworker.worker.processes.processes import Processes
from trioworker.worker.processes.sandbox.sandbox import open_sandbox
from worker.processes.conftest import run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not seccomp.is_supported(os.uname().machine), reason="no filter for this machine")


@asynccontextmanager
async def without_landlock(workspace: Path) -> AsyncGenerator[Processes]:
    config = WorkerConfig(job_id=JOB_ID, token=TOKEN, workspace=workspace)
    with open_sandbox(config, offered=lambda: 0) as sandbox:
        async with Processes(None, sandbox) as processes:
            yield processes


ATTACKS = {
    **HARM,
    "priority": "renice -n 19 -p $PPID",
    "priority of all": "renice -n 19 -u $(id -u)",
    "scheduler": "chrt --idle --pid 0 $PPID",
    "processors": "taskset --pid 1 $PPID",
    "input and output": "ionice -c 3 -p $PPID",
    "pidfd": f"{sys.executable} -c 'import os; os.pidfd_open(int(os.environ[\"PPID\"]))'",
    "own tag": "prlimit --rttime=1:1 true",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_a_call_that_could_end_the_worker_is_refused(attack: str, workspace: Path) -> None:
    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS)]
    async with without_landlock(workspace) as processes:
        ended = await run(processes, f"export PPID; {attack}", workspace)
        assert ended.exit_code != 0
        assert "not permitted" in ended.output
        assert (await run(processes, "echo fine", workspace)).output == "fine\n"
    after = [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS)]
    assert after == before


async def test_input_to_a_terminal_is_refused(workspace: Path) -> None:
    script = "import fcntl, os, termios; fcntl.ioctl(os.openpty()[1], termios.TIOCSTI, b'x')"
    async with without_landlock(workspace) as processes:
        ended = await run(processes, f'{sys.executable} -c "{script}"', workspace)
    assert "not permitted" in ended.output


ORDINARY = {
    "limit": ("ulimit -n 100; ulimit -n", "100\n"),
    "soft limit": ("ulimit -S -n 100; ulimit -S -n", "100\n"),
    "limit of a program": ("prlimit --nofile=100 sh -c 'ulimit -n'", "100\n"),
    "reading limits": ("prlimit --pid $PPID --noheadings --output RESOURCE --nofile", "NOFILE\n"),
    "signals": ("sleep 60 & kill $! && echo sent", "sent\n"),
    "priority": ("nice -n 5 nice", "5\n"),
    "processors": (f"{sys.executable} -c 'import os; os.sched_setaffinity(0, {{0}}); print(1)'", "1\n"),
}


@pytest.mark.parametrize(("script", "output"), ORDINARY.values(), ids=ORDINARY)
async def test_ordinary_calls_succeed(script: str, output: str, workspace: Path) -> None:
    async with without_landlock(workspace) as processes:
        assert (await run(processes, script, workspace)).output == output


@pytest.mark.parametrize("program", ["node --version", "java -version", "perl -e 1", "bash -c 'ulimit -n 64'"])
async def test_common_runtimes_start(program: str, workspace: Path) -> None:
    if shutil.which(program.split()[0]) is None:
        pytest.skip("not installed")
    async with without_landlock(workspace) as processes:
        ended = await run(processes, program, workspace)
    assert ended.exit_code == 0, ended.output


async def test_commands_are_ended_before_the_worker_when_memory_runs_out(workspace: Path) -> None:
    async with without_landlock(workspace) as processes:
        score = (await run(processes, "cat /proc/self/oom_score_adj", workspace)).output
    assert int(score) >= 500
