"""Files of any size and lines of any length: the search holds a small part of them, and misses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.tooling import entries, remarks
from trioworker.worker.tools.line_blocks import MAX_PIECE_BYTES, OVERLAP_BYTES, READ_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call

MIB = 1024 * 1024
FILE_BYTES = 60 * MIB
MAX_GROWTH_BYTES = 40 * MIB
"""How much more memory a search may take at its peak: far less than the file has."""

SEARCH = """
import sys, trio
from pathlib import Path
from trioworker.worker.processes.processes import Processes
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.grep import Grep, GrepParameters
from trioworker.worker.tools.workspace import Workspace

def peak():
    # Not by getrusage: a process inherits that peak from the one that forked it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

async def main():
    with Workspace.open(Path(sys.argv[1])) as workspace:
        async with Processes() as processes:
            context = ToolContext(workspace=workspace, environment={}, processes=processes)
            search = lambda **more: Grep().run(GrepParameters(pattern="needle", mode="content", **more), context)
            await search(path="small")
            before = peak()
            result = await search(before=2)
            print(peak() - before, peak(), *(match.replace(" ", "") for match in result.split("\\n")))

trio.run(main)
"""


def write_large(path: Path, unit: bytes) -> None:
    """60 MiB of `unit`, then the needle."""
    with path.open("wb") as file:
        for _ in range(FILE_BYTES // MIB):
            file.write(unit * (MIB // len(unit)))
        file.write(b" needle\n")


@pytest.mark.parametrize(
    ("unit", "number"),
    [(b"0123456789abcde\n", 60 * 65536 + 1), (b"0123456789abcde ", 1), (b"x" * 16, 1), (b"\xe4" * 16, 1)],
    ids=["lines", "one-line", "one-word", "latin-1"],
)
def test_60_mib_are_searched_in_little_memory(root: Path, unit: bytes, number: int) -> None:
    write_large(root / "large", unit)
    (root / "small").write_text("needle\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", SEARCH, root], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    growth, peak, *matches = result.stdout.split()
    assert int(growth) < MAX_GROWTH_BYTES
    assert int(peak) < 100 * MIB
    found = next(match for match in matches if match.startswith(f"large:{number}:"))
    assert found.endswith("needle")


@pytest.mark.parametrize("border", [READ_BYTES, MAX_PIECE_BYTES, MAX_PIECE_BYTES + READ_BYTES])
@pytest.mark.parametrize("offset", [-7, -6, -3, -1, 0, 1, 2])
@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
async def test_match_at_the_border_of_a_piece_is_found(
    call: Call, root: Path, border: int, offset: int, end: str
) -> None:
    unit = "ä" * 30 + end
    start = border + offset
    content = (unit * (start // len(unit.encode()) + 1)).encode()[: start - 2] + b"a"
    content = content.decode(errors="ignore").encode() + b" needle" + end.encode() + b"after" + end.encode()
    (root / "file").write_bytes(content)
    result = await call("grep", pattern=r"\bneedle\s*", mode="content")
    line = content.count(b"\n", 0, content.index(b"needle")) + 1
    (match,) = entries(result)
    assert match.startswith(f"file:{line}:")
    assert "needle" in match


@pytest.mark.parametrize(("pattern", "count"), [("^y", 1), ("^z", 0), ("z$", 1), ("y$", 0), ("^z|z$", 1), ("[yz]", 1)])
async def test_anchors_match_only_at_the_ends_of_a_line_of_many_pieces(
    call: Call, root: Path, pattern: str, count: int
) -> None:
    # Each piece is full of both letters, whatever its borders are.
    (root / "file").write_bytes(b"head\n" + b"yz" * (3 * MAX_PIECE_BYTES) + b"\ntail\n")
    result = await call("grep", pattern=pattern, mode="content")
    assert remarks(result)[-1] == ("1 matching line" if count else "no matches in 1 file searched")
    assert [match.split(":")[1] for match in entries(result)] == ["2"] * count


async def test_match_up_to_the_overlap_is_found_in_a_long_line(call: Call, root: Path) -> None:
    match = b"<" + b"m" * (OVERLAP_BYTES - 2) + b">"
    for offset in (1, 1000, OVERLAP_BYTES - 1):
        (root / "file").write_bytes(b"x" * (MAX_PIECE_BYTES + READ_BYTES - offset) + match + b"x" * MAX_PIECE_BYTES)
        assert remarks(await call("grep", pattern="<m+>")) == ["1 file"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "latin-1"])
async def test_large_files_of_any_encoding_are_searched(call: Call, root: Path, encoding: str) -> None:
    (root / "file").write_bytes(("Grüße und mehr\r\n" * 100_000 + "Füße\r\n").encode(encoding))
    result = await call("grep", pattern="^Füße$", mode="content", before=1)
    assert entries(result) == ["file-100000-Grüße und mehr", "file:100001:Füße"]


async def test_context_reaches_across_blocks(call: Call, root: Path) -> None:
    lines = [f"{number:07}" for number in range(1, 100_001)]
    (root / "file").write_text("\n".join(lines))
    for number in (32768, 32769, 65536, 99_999):
        result = await call("grep", pattern=f"^{number:07}$", mode="content", before=3, after=1)
        shown = [(entry.replace(":", "-").split("-")[1], ":" in entry) for entry in entries(result)]
        assert shown == [(str(one), one == number) for one in range(number - 3, number + 2)]


async def test_multiline_skips_and_reports_text_over_10_mib(call: Call, root: Path) -> None:
    (root / "large").write_bytes(b"word\n" * (2 * MIB + 10))
    (root / "small").write_text("word\nword\n")
    result = await call("grep", pattern=r"word\nword", multiline=True)
    assert entries(result) == ["small"]
    skipped = "files not searched, because they are larger than 10 MiB, the limit of multiline: large"
    assert remarks(result) == [skipped, "1 file"]


async def test_late_match_in_a_long_line_is_shown_with_what_is_around_it(call: Call, root: Path) -> None:
    words = " ".join(f"word{number}" for number in range(2000))
    (root / "file").write_text(f"{words} the needle here {words}\n")
    (match,) = entries(await call("grep", pattern="needle", mode="content"))
    assert match.startswith("file:1:...")
    assert match.endswith("...")
    assert " word1999 the needle here word0 " in match
    assert 900 < len(match.encode()) < 1100


async def test_match_at_the_end_of_a_long_line_is_cut_only_before(call: Call, root: Path) -> None:
    (root / "file").write_text("a.b(c);" * 1000 + "needle")
    (match,) = entries(await call("grep", pattern="needle$", mode="content"))
    assert match.startswith("file:1:...")
    assert match.endswith("a.b(c);needle")


@pytest.mark.parametrize("size", [40, 600, 1500, 4000])
@pytest.mark.parametrize("lead", [0, 10, 350, 5000])
async def test_long_word_with_the_match_is_shown_whole(call: Call, root: Path, size: int, lead: int) -> None:
    token = "T" + "k" * size + "needle" + "k" * size + "T" if size < 2000 else "T" + "k" * size + "needleT"
    line = "a, " * (lead // 3) + "Authorization: Basic " + token + " end" * 1000
    (root / "file").write_text(line)
    (match,) = entries(await call("grep", pattern="needle", mode="content"))
    assert f"Authorization: Basic {token}" in match


async def test_words_that_mark_a_secret_are_kept_where_long_words_precede_them(call: Call, root: Path) -> None:
    (root / "file").write_text("x" * 9000 + " " + "l" * 290 + " Authorization: Basic needle" + " end" * 1000)
    (match,) = entries(await call("grep", pattern="needle", mode="content"))
    assert "Authorization: Basic needle" in match


async def test_long_context_line_is_cut_at_its_end(call: Call, root: Path) -> None:
    (root / "file").write_text("word " * 1000 + "\nneedle\n")
    result = await call("grep", pattern="needle", mode="content", context=1)
    assert entries(result) == ["file-1-" + "word " * 200 + "...", "file:2:needle"]
