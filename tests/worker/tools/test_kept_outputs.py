"""The files with full outputs: private, bounded, found again, and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.tooling import entries
from trioworker.errors import ToolError
from trioworker.worker.tools.kept_outputs import KeptOutputs, OutputNotKeptError
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.tooling import Call
    from trioworker.worker.tools.base import ToolContext

JOB = "the job"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as opened:
        yield opened


def test_file_is_private_and_removed_at_the_end(workspace: Workspace, temporary: Path) -> None:
    with KeptOutputs(JOB, workspace) as outputs:
        assert os.listdir(temporary) == []
        path = Path(outputs.keep("1-1.txt", "the output\n"))
        assert path.read_text() == "the output\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.parent.parent == temporary
    assert os.listdir(temporary) == []


def test_restarted_worker_finds_the_files_and_counts_them(workspace: Workspace) -> None:
    with KeptOutputs(JOB, workspace, limit=10) as first:
        path = first.keep("1-1.txt", "x" * 6)
        folder = Path(path).parent
        shutil.move(folder, f"{folder}-of-a-killed-worker")
    shutil.move(f"{folder}-of-a-killed-worker", folder)
    with KeptOutputs(JOB, workspace, limit=10) as second:
        with pytest.raises(OutputNotKeptError, match="for outputs is reached"):
            second.keep("2-1.txt", "x" * 5)
        assert Path(second.keep("2-1.txt", "x" * 4)).parent == Path(path).parent
        assert second.keep("1-1.txt", "y" * 6) == path
        assert Path(path).read_text() == "y" * 6
    assert not Path(path).exists()


def test_folder_is_removed_by_the_last_worker_of_the_job(workspace: Workspace, root: Path) -> None:
    with Workspace.open(root) as other, KeptOutputs(JOB, other) as first:
        folder = Path(first.keep("1-1.txt", "output")).parent
        with KeptOutputs(JOB, workspace) as second:
            first.close()
            path = Path(second.keep("2-1.txt", "output"))
            assert path.parent == folder
            assert sorted(os.listdir(folder)) == ["1-1.txt", "2-1.txt"]
        assert not folder.exists()


def test_removed_folder_is_created_again(workspace: Workspace) -> None:
    with KeptOutputs(JOB, workspace) as outputs:
        folder = Path(outputs.keep("1-1.txt", "output")).parent
        shutil.rmtree(folder)
        path = outputs.keep("2-1.txt", "output")
        assert os.listdir(folder) == ["2-1.txt"]
        os.close(workspace.open_file(path))
    assert not folder.exists()


def test_file_that_a_command_enlarged_makes_no_room_for_others(workspace: Workspace) -> None:
    with KeptOutputs(JOB, workspace, limit=10) as outputs:
        os.truncate(outputs.keep("1-1.txt", "x" * 6), 1000)
        outputs.keep("1-1.txt", "y" * 6)
        with pytest.raises(OutputNotKeptError, match="is reached"):
            outputs.keep("2-1.txt", "x" * 5)


@pytest.mark.parametrize("planted", ["folder", "file"])
def test_planted_link_is_not_followed(workspace: Workspace, temporary: Path, tmp_path: Path, planted: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "1-1.txt").write_text("mine")
    with KeptOutputs(JOB, workspace) as probe:
        folder = Path(probe.keep("0-0.txt", "")).parent
        if planted == "file":
            (folder / "1-1.txt").symlink_to(target / "1-1.txt")
            probe.keep("1-1.txt", "output")
    if planted == "folder":
        folder.symlink_to(target)
        with KeptOutputs(JOB, workspace) as outputs:
            assert Path(outputs.keep("1-1.txt", "output")).parent.parent == temporary
    assert (target / "1-1.txt").read_text() == "mine"


def test_folder_that_others_may_read_is_not_used(workspace: Workspace) -> None:
    with KeptOutputs(JOB, workspace) as outputs:
        folder = Path(outputs.keep("1-1.txt", "")).parent
    folder.mkdir(mode=0o755)
    with KeptOutputs(JOB, workspace) as outputs:
        assert Path(outputs.keep("1-1.txt", "output")).parent != folder


async def test_file_tools_and_shell_read_it_and_nothing_beside_it(
    call: Call, context: ToolContext, root: Path, temporary: Path
) -> None:
    (root / ".gitignore").write_text("*.txt\n")
    (temporary / "other").write_text("needle\n")
    with KeptOutputs(JOB, context.workspace) as outputs:
        path = outputs.keep("1-1.txt", "hay\nthe needle\n")
        folder = str(Path(path).parent)
        assert await call("read_file", path=path, offset=2) == "2\tthe needle\n[lines 2-2 of 2]"
        assert entries(await call("grep", pattern="needle", path=path, mode="content")) == [f"{path}:2:the needle"]
        assert entries(await call("grep", pattern="needle", path=folder)) == [path]
        assert (await call("shell", command=f"cat {path}")).text == "hay\nthe needle"
        for arguments in ({"path": f"{folder}/../other"}, {"path": str(temporary / "other")}):
            with pytest.raises(ToolError, match="outside the workspace"):
                await call("read_file", **arguments)
        with pytest.raises(ToolError, match="outside the workspace"):
            await call("write_file", path=path, content="")
