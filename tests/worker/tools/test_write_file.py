from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from trioworker.errors import InvalidParametersError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_a_file_and_its_folders_are_made(call: Call, root: Path) -> None:
    result = await call("write_file", path="a/b/file", content="Grüße\r\n")
    assert msgspec.to_builtins(result) == {"path": "a/b/file", "bytes_written": 9, "success": True}
    assert (root / "a/b/file").read_bytes() == "Grüße\r\n".encode()


async def test_empty_content_is_legal(call: Call, root: Path) -> None:
    assert (await call("write_file", path="file", content="")).bytes_written == 0
    assert (root / "file").read_bytes() == b""


async def test_a_new_file_has_the_mode_of_any_programs(call: Call, root: Path) -> None:
    await call("write_file", path="file", content="x")
    (root / "other").touch()
    assert (root / "file").stat().st_mode == (root / "other").stat().st_mode


async def test_the_mode_is_kept(call: Call, root: Path) -> None:
    (root / "script").write_text("old")
    (root / "script").chmod(0o750)
    await call("write_file", path="script", content="new")
    assert stat.S_IMODE((root / "script").stat().st_mode) == 0o750
    assert (root / "script").read_text() == "new"


async def test_it_is_atomic_for_who_has_the_old_file_open(call: Call, root: Path) -> None:
    (root / "file").write_text("old")
    with (root / "file").open() as reader:
        await call("write_file", path="file", content="new and longer")
        assert reader.read() == "old"


async def test_nothing_else_is_left_in_the_folder(call: Call, root: Path) -> None:
    await call("write_file", path="file", content="x")
    (root / "folder").mkdir()
    with pytest.raises(ToolError):
        await call("write_file", path="folder", content="x")
    assert sorted(os.listdir(root)) == ["file", "folder"]


async def test_a_link_stays_and_its_target_is_written(call: Call, root: Path) -> None:
    (root / "real").mkdir()
    (root / "real" / "file").write_text("old")
    (root / "link").symlink_to("real/file")
    (root / "dangling").symlink_to("real/new")
    await call("write_file", path="link", content="new")
    await call("write_file", path="dangling", content="made")
    assert (root / "link").is_symlink()
    assert (root / "real" / "file").read_text() == "new"
    assert (root / "real" / "new").read_text() == "made"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("folder", "it is a directory"),
        ("folder/", "it is a directory"),
        (".", "it is a directory"),
        ("file/x", "a part of the path is not a directory"),
        ("fifo", "it is not a regular file"),
        ("../new", "it is outside the workspace"),
        ("out", "it is outside the workspace"),
        ("out/new", "it is outside the workspace"),
        ("/tmp/new", "it is outside the workspace"),
        ("x" * 256, "the name is too long"),
    ],
)
async def test_what_cannot_be_written_is_told_in_one_line(call: Call, root: Path, path: str, told: str) -> None:
    (root / "folder").mkdir()
    (root / "file").touch()
    os.mkfifo(root / "fifo")
    (root / "out").symlink_to("../outside")
    with pytest.raises(ToolError, match=rf"^cannot write \S+: {told}") as caught:
        await call("write_file", path=path, content="x")
    assert "\n" not in str(caught.value)
    assert not (root.parent / "new").exists()
    assert not (root.parent / "outside").exists()


async def test_the_limit_counts_bytes(call: Call) -> None:
    limit = 5 * 1024 * 1024
    assert (await call("write_file", path="file", content="x" * limit)).bytes_written == limit
    with pytest.raises(ToolError, match="over the limit of 5 MiB; write it in parts"):
        await call("write_file", path="file", content="ä" * (limit // 2 + 1))


async def test_content_must_be_text(call: Call, root: Path) -> None:
    with pytest.raises(ToolError, match="content is not valid Unicode at character 1"):
        await call("write_file", path="file", content="a\ud800")
    with pytest.raises(InvalidParametersError, match="content: must not hold NUL"):
        await call("write_file", path="file", content="a\0b")
    assert os.listdir(root) == []


async def test_a_full_disk_is_told_and_leaves_the_old_file(call: Call, root: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses the write in the same place."""
    import resource
    import signal

    (root / "file").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(ToolError, match="cannot write file: file too large"):
            await call("write_file", path="file", content="x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (root / "file").read_text() == "old"
    assert os.listdir(root) == ["file"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
async def test_a_read_only_file_stays(call: Call, root: Path) -> None:
    (root / "file").touch(mode=0o444)
    with pytest.raises(ToolError, match="cannot write file: permission denied"):
        await call("write_file", path="file", content="x")
