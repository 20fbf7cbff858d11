"""Which processes are reaped, and which are left to their own waiters."""

from __future__ import annotations

import os
import shutil

import pytest

from trioworker.worker.processes.ownership import ProcessOwnership


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
