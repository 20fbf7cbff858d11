"""Whose exit status is taken, and when it is left to somebody else."""

from __future__ import annotations

import os
import shutil

import pytest

from trioworker.tools.lineage import Lineage


def ended_leader(mark: dict[str, str]) -> int:
    """A process that begins a session and has ended; nobody has taken its exit status."""
    program = shutil.which("true")
    assert program
    pid = os.posix_spawn(program, [program], mark, setsid=True)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_command_that_ended_while_it_was_started_is_left_to_who_started_it() -> None:
    lineage = Lineage()
    number, mark = lineage.new_call()
    with lineage.starting():
        pid = ended_leader(mark)
        for _ in range(3):
            lineage.reap()
        lineage.began(number, pid)
    lineage.reap()
    assert os.waitpid(pid, os.WNOHANG) == (pid, 0)


def test_a_leader_that_nobody_waits_for_is_reaped_at_the_second_look() -> None:
    lineage = Lineage()
    _, mark = lineage.new_call()
    pid = ended_leader(mark)
    assert lineage.reap()
    assert not lineage.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
