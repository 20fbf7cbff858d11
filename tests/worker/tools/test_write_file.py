from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.base import ToolResult
from trioworker.worker.tools.diff import unified_diff

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


async def test_missing_folders_are_created(call: Call, root: Path) -> None:
    result = await call("write_file", path="a/b/file", content="Grüße\r\n")
    assert result == ToolResult(text="wrote 9 bytes to a/b/file", diff=unified_diff("a/b/file", "", "Grüße\n"))
    assert (root / "a/b/file").read_bytes() == "Grüße\r\n".encode()


async def test_empty_content_is_allowed(call: Call, root: Path) -> None:
    assert (await call("write_file", path="file", content="")).text == "wrote 0 bytes to file"
    assert (root / "file").read_bytes() == b""


async def test_new_file_has_the_default_mode(call: Call, root: Path) -> None:
    await call("write_file", path="file", content="x")
    (root / "other").touch()
    assert (root / "file").stat().st_mode == (root / "other").stat().st_mode


async def test_open_file_keeps_the_old_content(call: Call, root: Path) -> None:
    (root / "file").write_text("old")
    with (root / "file").open() as reader:
        await call("write_file", path="file", content="new and longer")
        assert reader.read() == "old"


async def test_no_temporary_file_is_left(call: Call, root: Path) -> None:
    await call("write_file", path="file", content="x")
    (root / "folder").mkdir()
    with pytest.raises(ToolError):
        await call("write_file", path="folder", content="x")
    assert sorted(os.listdir(root)) == ["file", "folder"]


async def test_link_stays_and_its_target_is_written(call: Call, root: Path) -> None:
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
    ("path", "message"),
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
async def test_path_that_cannot_be_written_is_an_error_of_one_line(
    call: Call, root: Path, path: str, message: str
) -> None:
    (root / "folder").mkdir()
    (root / "file").touch()
    os.mkfifo(root / "fifo")
    (root / "out").symlink_to("../outside")
    with pytest.raises(ToolError, match=rf"^cannot write \S+: {message}") as caught:
        await call("write_file", path=path, content="x")
    assert "\n" not in str(caught.value)
    assert not (root.parent / "new").exists()
    assert not (root.parent / "outside").exists()


async def test_limit_counts_bytes(call: Call, root: Path) -> None:
    limit = 5 * 1024 * 1024
    await call("write_file", path="file", content="x" * limit)
    assert (root / "file").stat().st_size == limit
    with pytest.raises(ToolError, match="bytes exceed the limit of 5 MiB; write it in parts"):
        await call("write_file", path="file", content="ä" * (limit // 2 + 1))


async def test_content_must_be_valid_unicode(call: Call, root: Path) -> None:
    with pytest.raises(ToolError, match="content is not valid Unicode at character 1"):
        await call("write_file", path="file", content="a\ud800")
    with pytest.raises(InvalidParametersError, match="content: must not contain NUL"):
        await call("write_file", path="file", content="a\0b")
    assert os.listdir(root) == []


async def test_full_disk_is_an_error_and_leaves_the_old_file(call: Call, root: Path) -> None:
    """A file size limit replaces the full disk: the kernel refuses the same write."""
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
