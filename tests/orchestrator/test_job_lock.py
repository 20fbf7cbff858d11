"""The lock on a job: one holder, known by its process id, until it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ConfigError
from trioworker.orchestrator.job_lock import holder_of, lock_job
from trioworker.orchestrator.state_files import lock_path

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

JOB = "00000000-0000-4000-8000-000000000001"


async def test_only_one_holds_the_lock(tmp_path: Path, autojump_clock: MockClock) -> None:
    first = await lock_job(tmp_path, JOB)
    assert first is not None
    with first:
        assert holder_of(tmp_path, JOB) == os.getpid()
        assert await lock_job(tmp_path, JOB) is None
    assert holder_of(tmp_path, JOB) is None
    second = await lock_job(tmp_path, JOB)
    assert second is not None
    with second:
        pass


def test_the_kernel_releases_the_lock_of_a_killed_program(tmp_path: Path) -> None:
    program = (
        "import sys, time, trio; from pathlib import Path; from trioworker.orchestrator.job_lock import lock_job\n"
        f"lock = trio.run(lock_job, Path(sys.argv[1]), {JOB!r}); print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert holder_of(tmp_path, JOB) == other.pid
        other.kill()
    assert holder_of(tmp_path, JOB) is None


async def test_the_file_is_deleted_only_if_the_job_has_ended(tmp_path: Path) -> None:
    for ended in (False, True):
        lock = await lock_job(tmp_path, JOB)
        assert lock is not None
        with lock:
            lock.ended = ended
        assert lock_path(tmp_path, JOB).exists() is not ended


async def test_a_job_that_was_never_locked_has_no_holder(tmp_path: Path) -> None:
    assert holder_of(tmp_path, JOB) is None
    assert not lock_path(tmp_path, JOB).exists()


async def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    lock_path(tmp_path, JOB).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="cannot open"):
        await lock_job(tmp_path, JOB)
    assert not (tmp_path / "elsewhere").exists()
