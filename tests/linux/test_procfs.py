from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trioworker.linux.procfs import descendants, kill_tree, process_entry, process_table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

TIMEOUT = 30.0
"""Seconds after which something that must happen is taken not to happen; long, for a busy machine."""
FORKING_PROCESSES = """
import subprocess, time
from trioworker.linux.syscalls import become_subreaper

become_subreaper()
loop = "while :; do (sleep 300 & sleep 300 &); setsid sh -c 'sleep 300 &'; done"
for _ in range(3):
    subprocess.Popen(["sh", "-c", loop], start_new_session=True)
time.sleep(300)
"""
"""A subreaper, like a worker, whose children fork continuously and orphan what they start."""
RESUMING_PROCESSES = """
import os, signal, time
from trioworker.linux.syscalls import become_subreaper

become_subreaper()
for _ in range(4):
    if os.fork() == 0:
        while True:
            if os.fork() == 0:
                time.sleep(300)
            for _ in range(2000):
                os.killpg(0, signal.SIGCONT)
time.sleep(300)
"""
"""Processes that fork and continuously undo SIGSTOP for each other."""


@pytest.mark.parametrize("attempt", range(5))
def test_kill_tree_kills_processes_that_fork_continuously(attempt: int) -> None:
    with marked_process(sys.executable, "-c", FORKING_PROCESSES) as (process, living):
        wait_for(lambda: len(living()) > 40)
        kill_tree(process.pid)
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        wait_for(lambda: not living())


@pytest.mark.parametrize("attempt", range(5))
def test_kill_tree_kills_processes_that_resume_each_other(attempt: int) -> None:
    with marked_process(sys.executable, "-c", RESUMING_PROCESSES) as (process, living):
        wait_for(lambda: len(living()) > 20)
        kill_tree(process.pid)
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        wait_for(lambda: not living())


def test_kill_tree_kills_only_the_tree() -> None:
    with marked_process("sleep", "300") as (other, _), marked_process("sleep", "300") as (process, _):
        kill_tree(process.pid)
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        assert other.poll() is None
        assert process_entry(other.pid).parent == os.getpid()


def test_kill_tree_of_an_ended_process_does_nothing() -> None:
    with marked_process("true") as (process, _):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        kill_tree(process.pid)
        assert process.wait(TIMEOUT) == 0
        kill_tree(process.pid)


def test_process_entry_reads_names_with_parentheses(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    with marked_process(str(program), "300") as (process, living):
        wait_for(lambda: living() == [process.pid])
        entry = process_entry(process.pid)
        assert (entry.pid, entry.parent, entry.session) == (process.pid, os.getpid(), process.pid)
        assert not entry.is_dead


def test_descendants_omits_zombies() -> None:
    with marked_process("true") as (process, _):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        entry = process_entry(process.pid)
        assert entry.is_dead
        assert descendants([entry], process_table()) == []


@contextmanager
def marked_process(*command: str) -> Generator[tuple[subprocess.Popen[bytes], Callable[[], list[int]]]]:
    """A process, and a function that lists the living processes with its environment: it and its descendants."""
    name, value = "TRIOWORKER_TEST", os.urandom(8).hex()

    def living() -> list[int]:
        entries = [entry for entries in process_table().values() for entry in entries if not entry.is_dead]
        return [entry.pid for entry in entries if value.encode() in environment_of(entry.pid)]

    process = subprocess.Popen(command, env={**os.environ, name: value}, start_new_session=True)
    try:
        yield process, living
    finally:
        while pids := living():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        process.wait()


def environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
