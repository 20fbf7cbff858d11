"""The worker as a real child process: its environment, its end, and that it doesn't outlive its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.linux import pdeathsig
from trioworker.local.worker_process import MAX_RESUMES, WorkerProcess
from trioworker.protocol.exit_codes import NO_ORCHESTRATOR
from trioworker.protocol.values import TOKEN_VARIABLE
from trioworker.worker.child_process import RELEASE_SIGNAL, worker_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"


def with_pdeathsig(parent: int, *program: str) -> list[str]:
    return [sys.executable, "-ISs", pdeathsig.__file__, str(parent), str(int(signal.SIGTERM)), *program]


def test_pdeathsig_ends_a_program_when_its_parent_is_killed() -> None:
    # The parent starts the program, prints its process id, and waits to be killed.
    parent_program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([*sys.argv[1:4], str(os.getpid()), '15', *sys.argv[4:]], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    command = [
        sys.executable,
        "-c",
        parent_program,
        sys.executable,
        "-ISs",
        pdeathsig.__file__,
        sys.executable,
        "-c",
        SLEEPER,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert _ends(child, seconds=10)
    finally:
        os.close(child)


def test_pdeathsig_does_not_start_a_program_whose_parent_has_ended() -> None:
    ended = subprocess.run(with_pdeathsig(1, sys.executable, "-c", "print('ran')"), capture_output=True, check=False)

    assert (ended.returncode, ended.stdout) == (128 + signal.SIGTERM, b"")


def test_pdeathsig_runs_the_given_program() -> None:
    program = [sys.executable, "-c", "import sys; print(sys.orig_argv[1:], sys.flags.isolated); sys.exit(7)", "a b"]
    ended = subprocess.run(with_pdeathsig(os.getpid(), *program), capture_output=True, text=True, check=False)

    assert ended.returncode == 7
    assert ended.stdout.strip() == f"{program[1:]} 0"


def test_the_worker_gets_its_token_and_no_other_secrets() -> None:
    environment = {"PATH": "/bin", "OPENAI_API_KEY": "sk-secret", TOKEN_VARIABLE: "older"}

    assert worker_environment(environment, "new") == {"PATH": "/bin", TOKEN_VARIABLE: "new"}


async def test_the_exit_code_is_the_workers() -> None:
    async with WorkerProcess(["--job-id", "no-uuid"], "token", unreported) as worker:
        with trio.fail_after(20):
            assert await worker.wait() == 2


async def test_leaving_the_context_releases_a_waiting_worker(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with WorkerProcess(options_of_a_waiting_worker(tmp_path), "token", unreported) as worker:
            await trio.sleep(0.5)
        assert await worker.wait() in {NO_ORCHESTRATOR, 128 + RELEASE_SIGNAL}


async def test_kill_ends_the_worker_at_once_and_may_be_repeated(tmp_path: Path) -> None:
    with trio.fail_after(10):
        async with WorkerProcess(options_of_a_waiting_worker(tmp_path), "token", unreported) as worker:
            worker.kill()
            assert await worker.wait() == 128 + signal.SIGKILL
            worker.kill()
            worker.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_worker_that_keeps_dying_is_restarted_a_few_times(tmp_path: Path, number: signal.Signals) -> None:
    with trio.fail_after(60):
        async with WorkerProcess(options_of_a_waiting_worker(tmp_path), "token", unreported) as worker:

            async def kill_each() -> None:
                while True:
                    worker._process.send_signal(number)  # pyright: ignore[reportPrivateUsage]
                    await trio.sleep(0.05)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(kill_each)
                assert await worker.wait() == 128 + number
                nursery.cancel_scope.cancel()
            assert (worker.died, worker.deaths) == (True, MAX_RESUMES + 1)


async def test_a_worker_that_dies_after_a_stop_is_not_restarted(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with WorkerProcess(options_of_a_waiting_worker(tmp_path), "token", unreported) as worker:
            worker.stop()
            worker._process.send_signal(signal.SIGKILL)  # pyright: ignore[reportPrivateUsage]
            # SIGTERM alone kills a worker that has not begun.
            assert await worker.wait() in {128 + signal.SIGKILL, 128 + signal.SIGTERM}
            assert (worker.died, worker.deaths) == (True, 1)


async def test_a_worker_that_dies_after_its_report_has_not_died(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with WorkerProcess(options_of_a_waiting_worker(tmp_path), "token", lambda: True) as worker:
            worker._process.send_signal(signal.SIGKILL)  # pyright: ignore[reportPrivateUsage]
            assert await worker.wait() == 128 + signal.SIGKILL
            assert not worker.died


def unreported() -> bool:
    return False


def options_of_a_waiting_worker(workspace: Path) -> list[str]:
    """Options of a worker that retries for a minute, since its orchestrator doesn't exist."""
    job = "00000000-0000-4000-8000-000000000000"
    return ["--job-id", job, "--orchestrator-url", "http://127.0.0.1:9", "--workspace", str(workspace)]


def _ends(pidfd: int, *, seconds: float) -> bool:
    """Whether a process ends in time. Its pidfd is then readable. It need not be a child."""
    return bool(select.select([pidfd], [], [], seconds)[0])
