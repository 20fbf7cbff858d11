"""`read_file`: a text file, or some lines of it, with line numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta

from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.files import read_text
from trioworker.worker.tools.other_names import FILE_NAMES, OtherNames, ignored_if, names_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

RANGE_LENGTH = 2


def _last_line(value: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The number of the last line, which is shown too; -1 is that of the file."""
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
    """How many lines, or which."""
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
    offset: Annotated[int, Meta(description="The first line to show (default: 1).")] | None = None
    limit: Annotated[int, Meta(description="How many lines to show (default: all).")] | None = None


class ReadFileResult(msgspec.Struct, frozen=True, kw_only=True):
    """`content` is the lines as `{number, 6 wide}│ {line}`."""

    content: str
    total_lines: int
    lines_shown: int
    path: str


class ReadFile(Tool[ReadFileParameters]):
    """Shows a file's lines; none if the offset is past the end."""

    name = "read_file"
    description = (
        "Read a text file. Each line is shown as its number, a tab and its text; number and tab are not part of the "
        "file. At most 30 KiB per call; the last line then gives the next offset."
    )
    parameters = ReadFileParameters
    reads_only = True

    async def run(self, parameters: ReadFileParameters, context: ToolContext) -> ReadFileResult:
        """Read in a thread that is abandoned on cancellation, since a disk may hang."""
        return await context.run_in_thread(_read, parameters, context.workspace, abandon=True)


def split_lines(text: str) -> list[str]:
    """The lines without their ends, `\\n` or `\\r\\n`. Text after the last end is a line unless it is empty."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    return lines


def _read(parameters: ReadFileParameters, workspace: Workspace) -> ReadFileResult:
    lines = split_lines(read_text(workspace, parameters.path).content)
    first = max(parameters.offset or 1, 1)
    limit = parameters.limit or 0
    last = first - 1 + limit if limit > 0 else len(lines)
    shown = lines[first - 1 : last]
    return ReadFileResult(
        content="\n".join(f"{number:>6}│ {line}" for number, line in enumerate(shown, first)),
        total_lines=len(lines),
        lines_shown=len(shown),
        path=workspace.shown(parameters.path),
    )
