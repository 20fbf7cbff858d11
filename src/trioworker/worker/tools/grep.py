"""`grep`: lines by a regular expression, in all text files beneath a folder or in one file."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import trio
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.processes.output import without_broken_end
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.encoding import decode
from trioworker.worker.tools.files import read_regular, read_text
from trioworker.worker.tools.search_patterns import glob_pattern, line_pattern
from trioworker.worker.tools.walk import walk
from trioworker.worker.tools.workspace import display, translate_oserror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.search_patterns import Pattern
    from trioworker.worker.tools.workspace import Workspace

MAX_ENTRIES = 250
"""Entries that are told (contract, 'Tools'): files, counts, or lines with those around them."""
MAX_BYTES = 64 * 1024
"""Bytes that all entries together may have (contract, 'Tools')."""
MAX_LINE_BYTES = 1000
"""Bytes of a line that are shown: a line of minified code would be all that is told."""
MAX_CONTEXT = 50
"""Lines around a match; more is read_file's work."""

Mode = Literal["content", "files_with_matches", "count"]


class GrepParameters(Parameters, frozen=True, kw_only=True):
    """What `grep` takes."""

    pattern: Annotated[str, Meta(description="A regular expression in RE2 syntax; (?i) at its start ignores case.")]
    path: Annotated[str, Meta(description="A folder or a file, relative to the workspace; absent: all.")] | None = None
    glob: Annotated[str, Meta(description="Only files whose path matches, as `*.py` or `src/**/*.ts`.")] | None = None
    mode: Annotated[Mode, Meta(description="Lines as `path:number:text`, paths, or `path:number of lines`.")] | None = (
        None
    )
    context: Annotated[int, Meta(description="Lines to show around each match in mode content.")] | None = None


class GrepResult(msgspec.Struct, frozen=True, kw_only=True):
    """`matches` in the form that the mode asks for; `truncated` when there were more."""

    matches: list[str]
    truncated: bool


class Grep(Tool[GrepParameters]):
    """Finds lines by a regular expression."""

    name = "grep"
    description = (
        "Search the workspace's text files for a regular expression (RE2 syntax). Answers paths by default; mode "
        "content gives `path:number:text`, and `path-number-text` for lines around it. 250 entries, 64 KiB at the most."
    )
    parameters = GrepParameters
    reads_only = True

    async def run(self, parameters: GrepParameters, context: ToolContext) -> GrepResult:
        """Search in a thread that a cancelled call leaves behind, since a disk may hang."""
        return await context.run_in_thread(_grep, parameters, context.workspace, abandon=True)


def _grep(parameters: GrepParameters, workspace: Workspace) -> GrepResult:
    pattern = line_pattern(parameters.pattern)
    matches: list[str] = []
    room = MAX_BYTES
    for entry in _entries(parameters, pattern, workspace):
        room -= len(entry.encode())
        if len(matches) == MAX_ENTRIES or room < 0:
            return GrepResult(matches=matches, truncated=True)
        matches.append(entry)
    return GrepResult(matches=matches, truncated=False)


def _entries(parameters: GrepParameters, pattern: Pattern, workspace: Workspace) -> Iterator[str]:
    around = min(max(parameters.context or 0, 0), MAX_CONTEXT)
    for path in _files(parameters, workspace):
        trio.from_thread.check_cancelled()
        data = _searchable(workspace, path)
        if data is None:
            if path == parameters.path:
                read_text(workspace, path)  # the one file that was asked for: this tells what is wrong with it
            continue
        shown = workspace.shown(path)
        lines = _matching_lines(pattern, data)
        match parameters.mode:
            case "content":
                yield from _with_context(shown, data, lines, around)
            case "count":
                count = sum(1 for _ in lines)
                if count:
                    yield f"{shown}:{count}"
            case _:
                if next(lines, None) is not None:
                    yield shown


def _files(parameters: GrepParameters, workspace: Workspace) -> Iterator[str]:
    start = parameters.path or "."
    wanted = glob_pattern(parameters.glob) if parameters.glob else None
    with translate_oserror("search", workspace.shown(start)):
        try:
            for entry in walk(workspace, start):
                if entry.is_file and (wanted is None or wanted.fullmatch(display(entry.path).encode())):
                    yield posixpath.join(start, entry.path)
        except NotADirectoryError:
            yield start


def _searchable(workspace: Workspace, path: str) -> bytes | None:
    """The file's text as UTF-8; None for what can't be searched: binary, too large, unreadable or gone."""
    try:
        data = read_regular(workspace.open_file(path), path)
    except (OSError, ToolError):
        return None
    text = decode(data)
    if text is None:
        return None
    if text.encoding != "utf-8" or text.mark:
        data = text.content.encode()
    # A `$` in the pattern means the end of the line, whichever end it has.
    return data.replace(b"\r\n", b"\n") if b"\r\n" in data else data


def _matching_lines(pattern: Pattern, data: bytes) -> Iterator[tuple[int, int]]:
    """Number (from 1) and first byte of each line that matches."""
    number, counted, position = 1, 0, 0
    while position < len(data):
        found = pattern.search(data, position)
        if found is None or found.start() >= len(data):
            return
        start = data.rfind(b"\n", 0, found.start()) + 1
        number += data.count(b"\n", counted, start)
        counted = start
        yield number, start
        end = data.find(b"\n", found.start())
        if end < 0:
            return
        position = end + 1


def _with_context(shown: str, data: bytes, matches: Iterator[tuple[int, int]], around: int) -> Iterator[str]:
    """Lines as grep prints them, `--` between groups that don't touch."""
    if around == 0:
        for number, start in matches:
            yield f"{shown}:{number}:{_line(data, start)}"
        return
    numbers = {number for number, _ in matches}
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    last = 0
    for match in sorted(numbers):
        first = max(match - around, last + 1, 1)
        if last and first > last + 1:
            yield "--"
        for number in range(first, min(match + around, len(lines)) + 1):
            mark = ":" if number in numbers else "-"
            yield f"{shown}{mark}{number}{mark}{_shortened(lines[number - 1])}"
            last = number


def _line(data: bytes, start: int) -> str:
    end = data.find(b"\n", start)
    return _shortened(data[start : end if end >= 0 else len(data)])


def _shortened(line: bytes) -> str:
    if len(line) <= MAX_LINE_BYTES:
        return line.decode(errors="replace")
    return without_broken_end(line[:MAX_LINE_BYTES]).decode(errors="ignore") + "..."
