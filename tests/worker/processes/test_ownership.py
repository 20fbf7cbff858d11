"""Which processes are reaped, and which are left to their own waiters."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from support.program import is_running
from support.sandboxes import sandbox_for
from trioworker.linux.procfs import process_entry
from trioworker.worker.processes.ownership import CALL_VARIABLE, ProcessOwnership, job_of
from trioworker.worker.processes.processes import Processes
from worker.processes.conftest import LONG, run, written

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from worker.processes.conftest import MakeProcesses


def ended_leader(mark: dict[str, str]) -> int:
    """A session leader that has ended and was not reaped."""
    program = shutil.which("true")
    assert program
    pid = os.posix_spawn(program, [program], mark, setsid=True)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_command_that_ended_while_starting_is_not_reaped() -> None:
    ownership = ProcessOwnership()
    number, mark = ownership.new_call()
    with ownership.starting():
        pid = ended_leader(mark)
        for _ in range(3):
            ownership.reap()
        ownership.leader_started(number, pid)
    ownership.reap()
    assert os.waitpid(pid, os.WNOHANG) == (pid, 0)


def test_an_unknown_session_leader_is_reaped_the_second_time() -> None:
    ownership = ProcessOwnership()
    _, mark = ownership.new_call()
    pid = ended_leader(mark)
    assert ownership.reap()
    assert not ownership.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@contextmanager
def session_of_host(mark: str = "") -> Generator[int]:
    """A session that the embedding program starts while a job runs."""
    process = subprocess.Popen(["sleep", str(LONG)], start_new_session=True, env={CALL_VARIABLE: mark})
    yield process.pid
    process.kill()
    process.wait()


def found_by(ownership: ProcessOwnership, number: int | None = None) -> list[int]:
    return [entry.pid for entry in ownership.snapshot(number).processes]


@pytest.mark.parametrize("number", ["x", "", "-1", "1_0", "\u00b2", "9" * 5000, "1", "0#0"])
def test_a_process_with_an_unreadable_mark_is_found(number: str) -> None:
    ownership = ProcessOwnership("job@1.0")
    call, _ = ownership.new_call()
    with session_of_host(f"job@1.0#{number}") as pid:
        assert found_by(ownership) == [pid]
        assert found_by(ownership, call) == [pid]


def test_a_process_with_the_mark_of_an_unknown_job_is_found() -> None:
    ownership = ProcessOwnership("job@1.0")
    ownership.new_call()
    with session_of_host("other@1.0#0") as pid:
        assert found_by(ownership) == [pid]


def test_a_process_with_the_mark_of_another_job_in_this_process_is_kept() -> None:
    one, other = ProcessOwnership("job@1.0"), ProcessOwnership("other@1.0")
    one.new_call()
    other.new_call()
    with session_of_host("other@1.0#0") as pid:
        assert found_by(one) == []
        assert found_by(other) == [pid]


async def test_sessions_that_a_host_starts_while_a_tagged_job_runs_are_kept(workspace: Path) -> None:
    with sandbox_for(workspace) as sandbox:
        async with Processes("job@1.0", sandbox) as processes:
            await run(processes, "true", workspace)
            with session_of_host("job@1.0#0") as host:
                await processes.terminate_all()
                assert is_running(host)


async def test_tagged_jobs_keep_each_others_unmarked_processes(workspace: Path) -> None:
    with sandbox_for(workspace) as sandbox:
        async with Processes("one@1.0", sandbox) as one, Processes("other@1.0", sandbox) as other:
            await run(one, "true", workspace)
            await run(other, "(setsid env -i sh -c 'echo $$ > child; exec sleep 300' &)", workspace)
            child = await written(workspace / "child")
            await one.terminate_all()
            assert is_running(child)
        assert not is_running(child)


async def test_a_process_whose_first_thread_has_ended_is_alive(make: MakeProcesses, tmp_path: Path) -> None:
    program = (
        "import ctypes, os, threading, time\n"
        "threading.Thread(target=time.sleep, args=[300]).start()\n"
        "print(os.getpid(), file=open('child', 'w'), flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    (tmp_path / "program").write_text(program)
    async with make() as processes:
        await run(processes, "setsid env -i python3 program &", tmp_path)
        child = await written(tmp_path / "child")
        assert not process_entry(child).is_dead
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_an_error_while_processes_are_ended_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_ownership: ProcessOwnership, _number: int | None, *, quick: bool) -> None:
        raise OSError(24, "Too many open files")

    messages: list[str] = []
    handler = logger.add(messages.append, format="{message}")
    async with Processes() as processes:
        child = int((await run(processes, f"sleep {LONG} & echo $!", tmp_path)).output)
        with monkeypatch.context() as patch:
            patch.setattr(ProcessOwnership, "snapshot", fail)
            await processes.terminate_all()
        assert is_running(child)
    assert not is_running(child)
    logger.remove(handler)
    assert "processes of commands may still be running: OSError: [Errno 24] Too many open files\n" in messages


def test_a_mark_that_is_not_text_is_no_error() -> None:
    process = subprocess.Popen(["sleep", str(LONG)], env={CALL_VARIABLE: b"\xff#\xff"})
    try:
        # Its environment can be read a moment after its exec.
        jobs = (job_of(process.pid) for _ in range(100_000))
        assert next(filter(None, jobs), None) == "\ufffd"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
