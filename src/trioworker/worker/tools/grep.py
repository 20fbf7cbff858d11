"""`grep`: finds lines by a regular expression, in one file or in all text files below a folder."""

from __future__ import annotations

import os
import posixpath
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import trio
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools import skipped as reasons
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.cut import LAST_LINES_BYTES
from trioworker.worker.tools.files import MAX_READ_BYTES, MEBIBYTE, binary_file_error, check_regular
from trioworker.worker.tools.glob_pattern import GlobPattern
from trioworker.worker.tools.line_blocks import BinaryFileError, Block, read_blocks
from trioworker.worker.tools.line_search import LineFinder, SpanFinder, lines_with_context, matching_lines
from trioworker.worker.tools.other_names import (
    FILE_NAMES,
    FOLDER_NAMES,
    Converter,
    OtherNames,
    ignored,
    ignored_if,
    names_of,
    opposite_of,
)
from trioworker.worker.tools.regex import search_pattern
from trioworker.worker.tools.skipped import Skipped
from trioworker.worker.tools.walk import Walk
from trioworker.worker.tools.workspace import display, translate_oserror

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.line_search import Line
    from trioworker.worker.tools.workspace import Workspace

MAX_ENTRIES = 250
"""Entries of a result (contract, 'Tools'): files, counts, or lines with those around them."""
MAX_CONTEXT = 50
"""Lines before and after a match; `read_file` shows more."""
SEARCH_SECONDS = 45.0
"""Seconds after which a search returns what it has: less than the tool's time limit, which would return nothing."""
COUNT_SECONDS = 5.0
"""Seconds that counting continues when the result is full."""

TOO_LARGE = f"files not searched, because they are larger than {MAX_READ_BYTES // MEBIBYTE} MiB, the limit of multiline"

Mode = Literal["content", "files_with_matches", "count"]


def _lines_around(parameter: str) -> Converter:
    """Lines around matches, which only mode `content` shows. If no mode is given, it becomes that one."""

    def convert(value: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
        mode = {} if "mode" in given or str(value) == "0" else {"mode": "content"}
        return {parameter: value, **mode}

    return convert


_regular_expressions_only = "pattern is always a regular expression; escape its special characters with a backslash"


class GrepParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `grep`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("pattern", "regex", "regexp", "query", "search", "search_pattern", "search_term"),
        **names_of("path", *FOLDER_NAMES, *FILE_NAMES),
        **names_of("glob", "include", "include_pattern", "file_pattern", "glob_pattern", "includes"),
        **names_of("mode", "output_mode"),
        **names_of("context", "context_lines", "-C"),
        **names_of("before", "lines_before", "before_context", "-B"),
        **names_of("after", "lines_after", "after_context", "-A"),
        **names_of("ignore_case", "case_insensitive", "insensitive", "-i"),
        **names_of("multiline", "multi_line", "dotall", "-U"),
        "context": _lines_around("context"),
        "before": _lines_around("before"),
        "after": _lines_around("after"),
        "case_sensitive": opposite_of("ignore_case"),
        "is_regexp": ignored_if(True, _regular_expressions_only),
        "is_regex": ignored_if(True, _regular_expressions_only),
        "fixed_strings": ignored_if(False, _regular_expressions_only),
        # Lines always have numbers, and the tool's own limit applies: more matches than requested do no harm.
        **dict.fromkeys(("-n", "line_numbers", "head_limit", "limit", "max_results", "max_matches"), ignored),
    }

    pattern: Annotated[str, Meta(description="A regular expression (RE2 syntax).")]
    path: (
        Annotated[str, Meta(description="A folder or file, relative to the workspace (default: the workspace).")] | None
    ) = None
    glob: Annotated[str, Meta(description="Only files whose path matches, e.g. `*.py` or `src/**/*.ts`.")] | None = None
    mode: (
        Annotated[Mode, Meta(description="Show lines, paths (default), or the number of matching lines per file.")]
        | None
    ) = None
    context: (
        Annotated[int, Meta(description="Lines to show before and after each match; implies mode content.")] | None
    ) = None
    before: Annotated[int, Meta(description="Lines before each match, instead of context.")] | None = None
    after: Annotated[int, Meta(description="Lines after each match, instead of context.")] | None = None
    ignore_case: Annotated[bool, Meta(description="Ignore case.")] | None = None
    multiline: Annotated[bool, Meta(description="Let matches span lines; `.` then matches newlines.")] | None = None


class Grep(Tool[GrepParameters]):
    """Finds lines by a regular expression."""

    name = "grep"
    description = (
        "Search text files for a regular expression. Returns paths, or in mode content `path:number:line`, and "
        "`path-number-line` for context. At most 250 entries and 30 KiB. Skips what git ignores, unless path names it."
    )
    parameters = GrepParameters
    reads_only = True

    def __init__(self, max_seconds: float = SEARCH_SECONDS) -> None:
        """`max_seconds` is the time after which a search returns what it has."""
        self._max_seconds = max_seconds

    async def run(self, parameters: GrepParameters, context: ToolContext) -> str:
        """Search in a thread that is abandoned on cancellation, since a disk may hang."""
        return await context.run_in_thread(_grep, parameters, context, self._max_seconds, abandon=True)


class _Entry(NamedTuple):
    text: str
    matches: int = 1


class _OutOfTimeError(Exception):
    pass


def _grep(parameters: GrepParameters, context: ToolContext, max_seconds: float) -> str:
    search = _Search(parameters, context.workspace, max_seconds)
    shown: list[str] = []
    count, room, is_full = 0, context.output_limit - LAST_LINES_BYTES, False
    try:
        for entry in search.entries():
            count += entry.matches
            room -= len(entry.text.encode()) + 1
            if not is_full and (len(shown) == MAX_ENTRIES or room < 0):
                is_full = True
                search.stop_in(COUNT_SECONDS)
            if not is_full:
                shown.append(entry.text)
    except _OutOfTimeError:
        search.is_partial = True
        search.skipped.note("the search ran out of time; narrow the pattern, the path or the glob")
    skipped = [f"[{line}]" for line in search.skipped.report()]
    return "\n".join([*shown, *skipped, _total(parameters, search, count, shown, is_full=is_full)])


def _total(parameters: GrepParameters, search: _Search, count: int, shown: list[str], *, is_full: bool) -> str:
    """The last line: how many matches there are."""
    if not count:
        searched = f"{search.files} file{'' if search.files == 1 else 's'} searched"
        hint = "" if search.files or not parameters.glob else f"; no searchable file matches glob {parameters.glob!r}"
        return f"[no matches in {searched}{hint}]"
    noun = "matching line" if parameters.mode in ("content", "count") else "file"
    total = f"{'at least ' if search.is_partial else ''}{count} {noun}{'' if count == 1 else 's'}"
    return f"[{total}, of which the first {len(shown)} entries are shown]" if is_full else f"[{total}]"


class _Search:
    """One call."""

    def __init__(self, parameters: GrepParameters, workspace: Workspace, max_seconds: float) -> None:
        self.skipped = Skipped()
        self.files = 0
        """How many files were searched."""
        self.is_partial = False
        """Whether it ran out of time."""
        self._parameters = parameters
        self._workspace = workspace
        self._multiline = parameters.multiline or False
        self._pattern = search_pattern(
            parameters.pattern, ignore_case=parameters.ignore_case or False, multiline=self._multiline
        )
        self._glob = GlobPattern(parameters.glob) if parameters.glob else None
        self._before = _context(parameters.before, parameters.context)
        self._after = _context(parameters.after, parameters.context)
        self._deadline = time.monotonic() + max_seconds

    def stop_in(self, seconds: float) -> None:
        """Continue for at most `seconds`."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def entries(self) -> Iterator[_Entry]:
        """All entries.

        Raises:
            ToolError: the path can't be searched.
            _OutOfTimeError: it takes too long.
        """
        for path in self._files():
            shown = self._workspace.shown(path)
            try:
                with translate_oserror("read", shown):
                    yield from self._entries_of(path, shown)
            except BinaryFileError:
                if path == self._parameters.path:
                    raise binary_file_error(shown) from None
                self.skipped.add(reasons.BINARY_FILES, shown)
            except ToolError:
                if path == self._parameters.path:
                    raise
                self.skipped.add(reasons.UNREADABLE, shown)

    def _files(self) -> Iterator[str]:
        start = self._parameters.path or "."
        with translate_oserror("search", self._workspace.shown(start)):
            try:
                walk = Walk(self._workspace, start, skipped=self.skipped)
                for entry in walk:
                    if not entry.is_file or (self._glob is not None and not self._glob.matches(entry.path)):
                        continue
                    if walk.is_ignored:
                        self.skipped.add(reasons.IGNORED_FILES, display(posixpath.join(walk.location, entry.path)))
                    else:
                        yield posixpath.join(start, entry.path)
            except NotADirectoryError:
                yield start

    def _entries_of(self, path: str, shown: str) -> Iterator[_Entry]:
        with self._blocks(path, shown) as blocks:
            finder = SpanFinder(self._pattern, self._check_time) if self._multiline else LineFinder(self._pattern)
            match self._parameters.mode:
                case "content":
                    if self._before or self._after:
                        lines = lines_with_context(finder, blocks, self._before, self._after)
                        yield from _with_separators(shown, lines)
                    else:
                        for line in matching_lines(finder, blocks):
                            yield _Entry(f"{shown}:{line.number}:{line.text}")
                case "count":
                    count = sum(1 for block in blocks for _ in finder.hits(block))
                    if count:
                        yield _Entry(f"{shown}:{count}", count)
                case _:
                    if any(True for block in blocks for _ in finder.hits(block)):
                        yield _Entry(shown)

    @contextmanager
    def _blocks(self, path: str, shown: str) -> Generator[Iterator[Block]]:
        """The text of a file, which stays open while the block runs."""
        descriptor = self._workspace.open_file(path)
        self.files += 1
        try:
            size = check_regular(descriptor, shown).st_size
            blocks = self._timed(read_blocks(descriptor, size))
            if self._multiline:
                whole = self._joined(blocks, shown)
                blocks = iter([whole] if whole else [])
            yield blocks
        finally:
            os.close(descriptor)

    def _timed(self, blocks: Iterable[Block]) -> Iterator[Block]:
        self._check_time()
        for block in blocks:
            yield block
            self._check_time()

    def _joined(self, blocks: Iterable[Block], shown: str) -> Block | None:
        """The whole text as one block, or None, which is noted, if it is too large."""
        texts: list[bytes] = []
        size = 0
        for block in blocks:
            texts.append(block.text)
            size += len(block.text)
            if size > MAX_READ_BYTES:
                self.skipped.add(TOO_LARGE, shown)
                return None
        return Block(b"".join(texts), 1)

    def _check_time(self) -> None:
        # The thread of a cancelled call is abandoned, and stops here.
        trio.from_thread.check_cancelled()
        if time.monotonic() >= self._deadline:
            raise _OutOfTimeError


def _context(lines: int | None, default: int | None) -> int:
    return min(max((lines if lines is not None else default) or 0, 0), MAX_CONTEXT)


def _with_separators(shown: str, lines: Iterable[Line]) -> Iterator[_Entry]:
    """Lines as grep prints them, with `--` between groups that don't touch."""
    last = 0
    for line in lines:
        if last and line.number > last + 1:
            yield _Entry("--", 0)
        mark = ":" if line.is_match else "-"
        yield _Entry(f"{shown}{mark}{line.number}{mark}{line.text}", int(line.is_match))
        last = line.number
