"""Temporary files of a killed worker are removed when its job is resumed, and no others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from support.identity import JOB_ID
from trioworker import open_job
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state.journal import Journal
from trioworker.worker.tools.temporary_files import remove_temporary_files
from trioworker.worker.tools.workspace import Workspace
from trioworker.worker.tools.write_file import WriteFile

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.worker.tools.base import ToolContext, ToolResult
    from trioworker.worker.tools.write_file import WriteFileParameters


class HangingWrite(WriteFile):
    """A write that takes longer than the test."""

    async def run(self, parameters: WriteFileParameters, context: ToolContext) -> ToolResult:
        await trio.sleep(30)
        return await super().run(parameters, context)


def leave(folder: Path, job_id: str = JOB_ID) -> Path:
    """A temporary file as a job leaves it."""
    with Workspace.open(folder, job_id=job_id) as workspace:
        path = folder / f"{workspace.temporary_prefix}0123.tmp"
    path.write_text("half")
    return path


async def test_temporary_files_of_a_killed_worker_are_removed_at_resume(
    workspace: Path, autojump_clock: MockClock
) -> None:
    (workspace / "sub").mkdir()
    turns = [call("write_file", path="sub/file", content="x"), DONE]
    world = SimulatedOrchestrator(turns)
    disk = Disk()
    config = world.config(workspace)
    async with open_job(config, transport=world, tools=[HangingWrite()], journal=Journal(DiskStorage(disk))):
        await trio.sleep(10)
        recorded = bytes(disk.content)
    ours, foreign = leave(workspace / "sub"), leave(workspace / "sub", "another job")
    disk.content[:] = recorded
    disk.start_process()
    # Files are removed in a thread, which virtual time doesn't wait for.
    autojump_clock.autojump_threshold, autojump_clock.rate = math.inf, 1.0
    async with open_job(
        config, transport=SimulatedOrchestrator(turns), tools=[], journal=Journal(DiskStorage(disk), recorded)
    ) as job:
        assert (await job.wait()).success
    assert not ours.exists()
    assert foreign.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_path": "sub/file"},
        {"edits": [{"path": "sub/missing"}]},
        {"patch": "*** Begin Patch\n*** Update File: sub/file\n@@\n-a\n+b\n*** End Patch\n"},
        {"input": "*** Begin Patch\r\n*** Add File: sub/file\r\n+b\r\n"},
        {"path": "link"},
        '{"path": "sub/file", "content": "a\\nb"}',
        {"arguments": ' {"edits": "[{\\"path\\": \\"sub/file\\"}]"}'},
        {"content": "{\n[", "path": "sub/file"},
    ],
)
def test_folder_is_found_by_any_form_of_a_call(workspace: Path, arguments: object) -> None:
    (workspace / "sub").mkdir()
    (workspace / "link").symlink_to("sub/file")
    left = leave(workspace / "sub")
    with Workspace.open(workspace, job_id=JOB_ID) as opened:
        assert remove_temporary_files(opened, [msgspec.json.encode(arguments)]) == 1
    assert not left.exists()


def test_folders_outside_the_workspace_are_left_alone(workspace: Path) -> None:
    left = leave(workspace.parent)
    with Workspace.open(workspace, job_id=JOB_ID) as opened:
        assert (
            remove_temporary_files(opened, [b'{"path": "../file"}', b'"x"', b"null", b'{"content": "a\\u0000"}']) == 0
        )
    assert left.exists()
