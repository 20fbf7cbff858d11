"""`read_file`: shows a text file, or some of its lines, with line numbers."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import trio
from msgspec import Meta

from trioworker.protocol.limits import MIB
from trioworker.worker.processes.output import without_broken_end
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.files import binary_file_error, check_regular
from trioworker.worker.tools.line_blocks import BinaryFileError, read_blocks
from trioworker.worker.tools.other_names import FILE_NAMES, OtherNames, ignored_if, names_of, whole_number
from trioworker.worker.tools.workspace import translate_oserror

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.line_blocks import Block
    from trioworker.worker.tools.workspace import Workspace

LAST_LINE_BYTES = 512
"""Bytes of a result that are left for the last line, and for redaction marks that are longer than their secrets."""
REST_OF_LINE = b"... [the line is longer; see the rest with shell]"
COUNTED_BYTES = 256 * MIB
"""Bytes that are read only to count the lines of a file: less than a second on a fast disk."""
RANGE_LENGTH = 2


def _last_line(value: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The number of the last line to show; -1 means the last line of the file."""
    first = max(whole_number(given.get("offset") or 1), 1)
    last = whole_number(value)
    if last == -1:
        return {}
    if last < first:
        raise ValueError(f"must be at least the first line, {first}")
    return {"limit": last - first + 1}


def _range(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first and the last line, as a list or as `10-20`."""
    if not isinstance(value, list):
        value = re.split(r"[-,:]", str(value).strip("[]() "), maxsplit=1)
    ends = cast("list[Any]", value)
    if len(ends) != RANGE_LENGTH:
        raise ValueError("expected the first and the last line, as [10, 20]")
    first = {"offset": whole_number(ends[0])}
    return {**first, **_last_line(ends[1], first)}


def _lines(value: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The number of lines, or a range."""
    return {"limit": value} if isinstance(value, int) else _range(value, given)


class ReadFileParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `read_file`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("path", *FILE_NAMES),
        **names_of("offset", "start_line", "start", "line_start", "from_line", "first_line", "line_offset"),
        **names_of("offset", "start_line_one_indexed"),
        **names_of("limit", "num_lines", "max_lines", "line_count", "line_limit"),
        **dict.fromkeys(("end_line", "end", "line_end", "to_line", "last_line"), _last_line),
        "end_line_one_indexed_inclusive": _last_line,
        **dict.fromkeys(("view_range", "line_range", "range"), _range),
        "lines": _lines,
        "command": ignored_if("view", "read_file only reads; use write_file or apply_patch"),
    }

    path: Annotated[str, Meta(description="The file, relative to the workspace.")]
    offset: Annotated[int, Meta(description="The number of the first line to show (default: 1).")] | None = None
    limit: Annotated[int, Meta(description="How many lines to show (default: all).")] | None = None


class ReadFile(Tool[ReadFileParameters]):
    """Shows a file's lines, as many as fit into a result."""

    name = "read_file"
    description = (
        "Read a text file. Each line is shown as its number, a tab and its text; the number and the tab are not part "
        "of the file. At most 30 KiB per call: if there is more, the last line gives the next offset."
    )
    parameters = ReadFileParameters
    reads_only = True

    async def run(self, parameters: ReadFileParameters, context: ToolContext) -> str:
        """Read in a thread that is abandoned on cancellation, since a disk may hang."""
        return await context.run_in_thread(_read, parameters, context.workspace, context.output_limit, abandon=True)


def _read(parameters: ReadFileParameters, workspace: Workspace, limit: int) -> str:
    shown = workspace.shown(parameters.path)
    with translate_oserror("read", shown):
        descriptor = workspace.open_file(parameters.path)
        try:
            size = check_regular(descriptor, shown).st_size
            view = _View(max(parameters.offset or 1, 1), max(parameters.limit or 0, 0), limit - LAST_LINE_BYTES)
            for block in read_blocks(descriptor, size):
                # The thread of a cancelled call is abandoned, and stops here.
                trio.from_thread.check_cancelled()
                view.add(block)
                if view.is_full and view.counted > COUNTED_BYTES:
                    view.is_partial = True
                    break
        except BinaryFileError as error:
            raise binary_file_error(shown) from error
        finally:
            os.close(descriptor)
    return view.text()


class _View:
    """The lines to show from a file that is read block by block.

    Attributes:
        is_full: no more lines are needed.
        counted: bytes that were read only to count their lines.
        is_partial: not all lines were counted.
    """

    def __init__(self, first: int, lines: int, room: int) -> None:
        """Show from line `first` at most `lines` lines, 0 for all, and `room` bytes."""
        self.is_full = False
        self.counted = 0
        self.is_partial = False
        self._first = first
        self._wanted = lines or sys.maxsize
        self._room = room
        self._shown: list[str] = []
        self._was_cut = False
        self._total = 0
        self._continued = False

    def add(self, block: Block) -> None:
        """Take the next block into account."""
        last = block.number + block.text.count(b"\n") - 1 + block.is_unfinished
        if self.is_full:
            self.counted += len(block.text)
        elif last >= self._first:
            self._take(block)
        self._total, self._continued = last, block.is_unfinished

    def _take(self, block: Block) -> None:
        text, position = block.text, 0
        # The first line may be the rest of a line whose start was in the block before.
        number = max(self._first, block.number + self._continued)
        for _ in range(number - block.number):
            position = text.find(b"\n", position) + 1 or len(text)
        while position < len(text) and not self.is_full:
            end = text.find(b"\n", position)
            self._show(number, text[position:end] if end >= 0 else text[position:], is_whole=end >= 0)
            position, number = (end + 1 or len(text)), number + 1

    def _show(self, number: int, line: bytes, *, is_whole: bool) -> None:
        prefix = f"{number}\t"
        room = self._room - len(prefix) - 1
        if len(line) > room or not is_whole:
            self.is_full = self._was_cut = True
            if self._shown:
                return
            # Redaction comes later, so the cut must leave no part of a secret.
            line = (without_broken_end(line[:room]) or line[:room]) + REST_OF_LINE
        text = prefix + line.decode(errors="ignore")
        self._room -= len(text.encode()) + 1
        self._shown.append(text)
        self.is_full = self.is_full or len(self._shown) == self._wanted

    def text(self) -> str:
        """The result."""
        total = f"more than {self._total}" if self.is_partial else str(self._total)
        if not self._total:
            return "[the file is empty]"
        if not self._shown:
            return f"[offset {self._first} is past the end: the file has {total} line{'' if self._total == 1 else 's'}]"
        last = self._first + len(self._shown) - 1
        if self._first == 1 and last == self._total and not self.is_partial:
            return "\n".join(self._shown)
        following = f"; continue with offset {last + 1}" if self._was_cut and last < self._total else ""
        return "\n".join([*self._shown, f"[lines {self._first}-{last} of {total}{following}]"])
