"""Whose exit status is taken, and when it is left to somebody else."""

from __future__ import annotations

import os
import shutil

import pytest

from trioworker.worker.processes.ownership import ProcessOwnership


def ended_leader(mark: dict[str, str]) -> int:
    """A process that begins a session and has ended; nobody has taken its exit status."""
    program = shutil.which("true")
    assert program
    pid = os.posix_spawn(program, [program], mark, setsid=True)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_command_that_ended_while_it_was_started_is_left_to_who_started_it() -> None:
    ownership = ProcessOwnership()
    number, mark = ownership.new_call()
    with ownership.starting():
        pid = ended_leader(mark)
        for _ in range(3):
            ownership.reap()
        ownership.began(number, pid)
    ownership.reap()
    assert os.waitpid(pid, os.WNOHANG) == (pid, 0)


def test_a_leader_that_nobody_waits_for_is_reaped_at_the_second_look() -> None:
    ownership = ProcessOwnership()
    _, mark = ownership.new_call()
    pid = ended_leader(mark)
    assert ownership.reap()
    assert not ownership.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
