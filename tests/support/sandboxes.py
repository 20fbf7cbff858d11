"""Sandboxes for tests, and programs that run as on a kernel without Landlock."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.identity import JOB_ID, TOKEN
from trioworker.linux import landlock
from trioworker.worker.config import WorkerConfig
from trioworker.worker.processes.sandbox.sandbox import open_sandbox

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from trioworker.worker.processes.sandbox.sandbox import Sandbox

needs_landlock = pytest.mark.skipif(
    landlock.version() < landlock.MIN_VERSION, reason="this kernel has no Landlock (Linux 5.19, lsm=landlock)"
)
needs_scopes = pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock has no scopes (Linux 6.12)")

WITHOUT_LANDLOCK = """\
import ctypes, struct, sys

def forget_landlock():
    '''Fail its three system calls with ENOSYS, by a seccomp filter, as on a kernel without it.'''
    code = [
        (0x20, 0, 0, 0),             # load the number of the call
        (0x35, 0, 2, 444),           # below 444: allow
        (0x25, 1, 0, 446),           # above 446: allow
        (0x06, 0, 0, 0x00050000 + 38),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(filters)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()

forget_landlock()
"""
"""The start of a program that runs without Landlock."""


@contextmanager
def sandbox_for(workspace: Path, **more: Any) -> Generator[Sandbox]:
    """The sandbox of a job in `workspace`, with `more` configuration."""
    with open_sandbox(WorkerConfig(job_id=JOB_ID, token=TOKEN, workspace=workspace, **more)) as sandbox:
        yield sandbox
