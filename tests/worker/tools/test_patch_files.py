"""A patch changes all of its files or none, and only files of the workspace."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ToolError
from trioworker.worker.tools.change_checks import check_changes
from trioworker.worker.tools.file_changes import plan_patch, write_changes
from trioworker.worker.tools.kept_outputs import KeptOutputs
from trioworker.worker.tools.patch_format import parse_patch
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call
    from trioworker.worker.tools.base import ToolContext

EDIT = ["*** Update File: a", "-one", "+1"]


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


@pytest.mark.parametrize("lines", [["*** Delete File: {}"], ["*** Update File: {}", "*** Move to: moved"]])
async def test_kept_output_is_neither_moved_nor_deleted(
    call: Call, context: ToolContext, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (root / "a").write_text("one\n")
    with KeptOutputs("job", context.workspace) as outputs:
        kept = outputs.keep("1-1.txt", "output")
        with pytest.raises(ToolError, match="outside the workspace"):
            await call("apply_patch", patch=patch(*EDIT, *(line.format(kept) for line in lines)))
        assert (root / kept).read_text() == "output"
    assert (root / "a").read_text() == "one\n"


@pytest.mark.parametrize("lines", [["*** Delete File: é"], ["*** Update File: é", "*** Move to: moved"]])
async def test_name_in_another_unicode_form_is_moved_or_deleted(call: Call, root: Path, lines: list[str]) -> None:
    (root / unicodedata.normalize("NFD", "é")).write_text("x\n")
    await call("apply_patch", patch=patch(*lines))
    assert os.listdir(root) in ([], ["moved"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["*** Add File: n", "+x", "*** Add File: n/x/y", "+x"], "n can't be a new file and also the folder of n/x/y"),
        (
            ["*** Add File: ./d/n//x", "+x", "*** Add File: link/n", "+x"],
            "link/n can't be a new file and also the folder",
        ),
        (["*** Add File: d/n/x", "+x", "*** Add File: link/n/x", "+x"], "d/n/x and link/n/x are the same file"),
        (["*** Update File: alias", "-one", "+2"], "a and alias are the same file"),
        (["*** Update File: b", "*** Move to: a/b"], "cannot write a/b: a part of the path is not a directory"),
        (["*** Update File: b", "*** Move to: d/n/../../b2"], "cannot write b2: no such file"),
    ],
)
async def test_patch_with_a_change_that_the_file_system_refuses_changes_nothing(
    call: Call, root: Path, lines: list[str], message: str
) -> None:
    (root / "a").write_text("one\n")
    (root / "b").write_text("two\n")
    (root / "alias").symlink_to("a")
    (root / "d").mkdir()
    (root / "link").symlink_to("d")
    with pytest.raises(ToolError, match=message):
        await call("apply_patch", patch=patch(*EDIT, *lines))
    assert sorted(os.listdir(root)) == ["a", "alias", "b", "d", "link"]
    assert (root / "a").read_text() == "one\n"
    assert not list((root / "d").iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "lines",
    [
        ["*** Update File: read-only", "-one", "+1"],
        ["*** Delete File: folder/file"],
        ["*** Update File: folder/file", "*** Move to: b"],
        ["*** Update File: a", "*** Move to: folder/b"],
        ["*** Add File: folder/n/x", "+x"],
    ],
)
def test_missing_permission_is_found_before_the_first_write(root: Path, lines: list[str]) -> None:
    (root / "folder").mkdir()
    for name, mode in (("a", 0o666), ("read-only", 0o444), ("folder/file", 0o666)):
        (root / name).write_text("one\n")
        (root / name).chmod(mode)
    root.chmod(0o777)
    with Workspace.open(root) as workspace:
        os.seteuid(1000)
        try:
            with pytest.raises(ToolError, match="permission denied"):
                check_changes(workspace, plan_patch(workspace, parse_patch(patch("*** Add File: new", "+x", *lines))))
        finally:
            os.seteuid(0)


def test_error_after_the_first_write_names_what_was_done(root: Path) -> None:
    (root / "a").write_text("one\n")
    with Workspace.open(root) as workspace:
        changes = plan_patch(
            workspace, parse_patch(patch("*** Add File: n", "+x", *EDIT[:1], "*** Move to: d/b", *EDIT[1:]))
        )
        (root / "d").write_text("a file since then")
        with pytest.raises(ToolError, match=r"cannot move a: .*; already done: created n: 2 bytes, wrote a$"):
            write_changes(workspace, changes)
    assert (root / "a").read_text() == "1\n"
