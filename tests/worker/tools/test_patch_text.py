"""OpenAI's patch format, given to `apply_patch` as `patch` or `input`."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from linear_time import assert_linear
from trioworker.errors import ToolError
from trioworker.worker.tools.patch_format import UpdateFile, parse_patch
from trioworker.worker.tools.patch_hunks import patched

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def names(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir())


def updated(text: str, *lines: str) -> str:
    """The text after an update whose section has these lines."""
    (section,) = parse_patch(patch("*** Update File: f", *lines))
    assert isinstance(section, UpdateFile)
    return patched(text, section.hunks, "f").text


async def test_patch_adds_updates_moves_and_deletes_files(call: Call, root: Path) -> None:
    (root / "a.py").write_text("def f():\n    return 1\n")
    (root / "run").write_text("#!/bin/sh\necho old\n")
    (root / "run").chmod(0o755)
    (root / "gone").write_bytes(b"\0\1")
    text = patch(
        "*** Update File: a.py", "@@ def f():", "-    return 1", "+    return 2",
        "*** Add File: docs/new.md", "+# New", "+", "+text",
        "*** Update File: run", "*** Move to: bin/start", "@@", " #!/bin/sh", "-echo old", "+echo new",
        "*** Delete File: gone",
    )  # fmt: skip
    result = await call("apply_patch", input=text)
    assert result.text.splitlines() == [
        "edited a.py: 1 hunk", "2\t    return 2",
        "created docs/new.md: 12 bytes",
        "moved run to bin/start: 1 hunk", "2\techo new",
        "deleted gone",
    ]  # fmt: skip
    assert (root / "a.py").read_text() == "def f():\n    return 2\n"
    assert (root / "docs/new.md").read_text() == "# New\n\ntext\n"
    assert (root / "bin/start").read_text() == "#!/bin/sh\necho new\n"
    assert stat.S_IMODE((root / "bin/start").stat().st_mode) == 0o755
    assert names(root) == ["a.py", "bin", "docs"]
    assert "-    return 1\n+    return 2" in result.diff
    assert "+# New" in result.diff


async def test_one_hunk_that_does_not_fit_leaves_all_files_as_they_were(call: Call, root: Path) -> None:
    (root / "a").write_text("one\n")
    (root / "b").write_text("two\n")
    text = patch("*** Add File: c", "+x", "*** Update File: a", "-one", "+1", "*** Update File: b", "-three", "+3")
    with pytest.raises(ToolError, match=r"^no file was changed: patch: hunk 1 of b: its lines are not in the file; no"):
        await call("apply_patch", patch=text)
    assert names(root) == ["a", "b"]
    assert (root / "a").read_text() == "one\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["*** Add File: a", "+x"], "cannot create a: it already exists"),
        (["*** Update File: none", "+x"], "cannot read none: no such file"),
        (["*** Delete File: none"], "cannot delete none: no such file"),
        (["*** Delete File: folder"], "cannot read folder: it is a directory"),
        (["*** Update File: b", "*** Move to: a"], "cannot move b to a: it already exists"),
        (["*** Update File: ../b", "+x"], "cannot read .*outside the workspace"),
        (["*** Update File: a", "+x", "*** Delete File: ./a"], "patch: a has two sections"),
        (["*** Update File: a", " one"], "patch: it would change nothing in a"),
    ],
)
async def test_impossible_change_is_an_error(call: Call, root: Path, lines: list[str], message: str) -> None:
    (root / "a").write_text("one\n")
    (root / "b").write_text("two\n")
    (root / "folder").mkdir()
    with pytest.raises(ToolError, match=f"^(no file was changed: )?{message}"):
        await call("apply_patch", patch=patch(*lines))
    assert (root / "a").read_text() == "one\n"


async def test_path_beside_a_patch_must_be_one_of_its_files(call: Call, root: Path) -> None:
    (root / "a").write_text("one\n")
    text = patch("*** Update File: a", "-one", "+1")
    with pytest.raises(ToolError, match="path: the patch does not change b; omit path"):
        await call("apply_patch", path="b", patch=text)
    await call("apply_patch", path="./a", patch=text)
    assert (root / "a").read_text() == "1\n"


async def test_deleting_a_link_keeps_its_target(call: Call, root: Path) -> None:
    (root / "file").write_text("x")
    (root / "link").symlink_to("file")
    await call("apply_patch", patch=patch("*** Delete File: link"))
    assert names(root) == ["file"]


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        ("a\nb\nc\n", ["@@", " a", "-b", "+B", " c"], "a\nB\nc\n"),
        ("a\nb\nc\n", [" a", "+x", " b"], "a\nx\nb\nc\n"),
        ("a\nb\na\nb\n", ["@@ b", " a", "-b", "+B"], "a\nb\na\nB\n"),
        ("class A:\n f():\n  x\nclass B:\n f():\n  x\n", ["@@ class B:", "@@ f():", "-  x", "+  y"],
         "class A:\n f():\n  x\nclass B:\n f():\n  y\n"),
        ("a\nb\na\n", ["@@", "-a", "+z", "*** End of File"], "a\nb\nz\n"),
        ("a\nb\n", ["@@", "+c"], "a\nb\nc\n"),
        ("a\nb\n", ["@@ a", "+x"], "a\nx\nb\n"),
        ("a\nb", ["@@", "+c"], "a\nb\nc"),
        ("a\nb", ["-b", "+B"], "a\nB"),
        ("a\nb", ["-b"], "a\n"),
        ("", ["+a"], "a\n"),
        ("a  \nb\n", [" a", "-b", "+B"], "a  \nB\n"),
        ("a\n\nb\n", [" a", "", "-b", "+B"], "a\n\nB\n"),
        ("a\nb\n", ["-a", "+A", "", "@@", "-b", "+B", ""], "A\nB\n"),
        ("a\nb\nc\n", ["@@ -1,2 +1,2 @@", "-a", "+A", "@@ -3 +3 @@ b", "-c", "+C"], "A\nb\nC\n"),
        ("a\r\nb\r\nc\n", [" a", "-b", "+x", "+y", " c"], "a\r\nx\r\ny\r\nc\n"),
    ],
)  # fmt: skip
def test_hunk_changes_only_its_lines(before: str, lines: list[str], after: str) -> None:
    assert updated(before, *lines) == after


@pytest.mark.parametrize(
    ("before", "lines", "message"),
    [
        ("a\nb\na\n", ["-a", "+z"], r"hunk 1 of f matches at lines 1, 3; add surrounding lines, or a line `@@ LINE`"),
        ("a\nb\n", ["@@ x", "-a", "+z"], "hunk 1 of f: there is no line 'x'"),
        ("a\nb\n", ["-b", "+z", "@@", "-a", "+y"], "hunk 2 of f matches only at line 1, before the previous hunk"),
        (
            "    aaaa = 1\n",
            ["-aaaa = 1", "+b"],
            "hunk 1 of f: its lines are not in the file; it differs in white",
        ),
        (
            "a\n  The end.\n",
            ["-The end", "+x"],
            "hunk 1 of f: its lines are not in the file; it is only a part of what follows; quote line 2 exactly as "
            "here:\n"
            "  The end.$",
        ),
    ],
)
def test_hunk_that_matches_no_place_or_several_is_an_error(before: str, lines: list[str], message: str) -> None:
    with pytest.raises(ToolError, match=f"^patch: {message}"):
        updated(before, *lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--- a\n+++ b", r"patch: expected a line '\*\*\* Begin Patch'"),
        ("*** Begin Patch\n*** Update File: a\n+x", r"patch: the line '\*\*\* End Patch' is missing; send the whole"),
        (patch(), "patch: it has no sections"),
        (patch("*** Update File: "), r"patch, line 2: '\*\*\* Update File:': expected a line like"),
        (patch("*** Update File: a"), "patch: the section of a has no lines"),
        (patch("x"), r"patch, line 2: 'x': expected a line like '\*\*\* Update File: PATH'"),
        (patch("*** Update File: a", "@@", "x"), "patch, line 4: 'x': each line must start with a space"),
        (patch("*** Add File: a", "+x", "y"), "patch, line 4: 'y': each line of a new file must start with +"),
    ],
)
def test_malformed_patch_is_an_error_that_names_the_line(text: str, message: str) -> None:
    with pytest.raises(ToolError, match=f"^{message}"):
        parse_patch(text)


def test_patch_inside_a_shell_command_is_found() -> None:
    text = "apply_patch <<'EOF'\n" + patch("*** Delete File: a") + "\nEOF\n"
    assert [section.path for section in parse_patch(text)] == ["a"]


@pytest.mark.parametrize("unit", [" a\n", "+a\n", "-a\n", "\n", "@@ a\n-a\n+b\n"])
def test_long_patches_take_linear_time(unit: str) -> None:
    def work(text: str) -> None:
        try:
            updated("a\n" * (len(text) // 2), *text.split("\n"))
        except ToolError:
            return

    assert_linear(work, unit)
