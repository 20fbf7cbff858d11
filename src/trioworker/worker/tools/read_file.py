"""`read_file`: a text file, or some lines of it, with line numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.files import read_text

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace


class ReadFileParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `read_file`."""

    path: Annotated[str, Meta(description="The file, relative to the workspace.")]
    offset: Annotated[int, Meta(description="The first line to show, counted from 1.")] | None = None
    limit: Annotated[int, Meta(description="How many lines to show; 0 or absent: all.")] | None = None


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
        "Read a text file of the workspace. Lines come numbered, as `     1│ text`; the number and the bar are not "
        "part of the file. Up to 10 MiB."
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
