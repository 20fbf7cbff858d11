"""`glob`: finds files by a pattern of their path, newest first."""

from __future__ import annotations

import heapq
import posixpath
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools import skipped as reasons
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.cut import LAST_LINES_BYTES, first_lines
from trioworker.worker.tools.glob_pattern import GlobPattern
from trioworker.worker.tools.other_names import FOLDER_NAMES, OtherNames, ignored, names_of
from trioworker.worker.tools.skipped import Skipped
from trioworker.worker.tools.walk import Walk
from trioworker.worker.tools.workspace import display, translate_oserror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.walk import Found
    from trioworker.worker.tools.workspace import Workspace

MAX_FILES = 200
"""Files of a result (contract, 'Tools')."""


class GlobParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `glob`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("pattern", "glob", "glob_pattern", "file_pattern", "include", "query", "search_pattern"),
        **names_of("path", *FOLDER_NAMES),
        # The tool's own limit applies: more matches than requested do no harm.
        **dict.fromkeys(("limit", "head_limit", "max_results"), ignored),
    }

    pattern: Annotated[str, Meta(description="E.g. `src/**/*.py`. Without a slash, it matches names in any folder.")]
    path: (
        Annotated[str, Meta(description="The folder to search, relative to the workspace (default: the workspace).")]
        | None
    ) = None


class Glob(Tool[GlobParameters]):
    """Finds files by name."""

    name = "glob"
    description = (
        "Find files by a pattern of their path (`*`, `**`, `?`, `[a-z]`, `{a,b}`), newest first, at most 200. Skips "
        "what git ignores, unless path names it."
    )
    parameters = GlobParameters
    reads_only = True

    async def run(self, parameters: GlobParameters, context: ToolContext) -> str:
        """Search in a thread that is abandoned on cancellation, since a disk may hang."""
        return await context.run_in_thread(_glob, parameters, context.workspace, context.output_limit, abandon=True)


def _glob(parameters: GlobParameters, workspace: Workspace, limit: int) -> str:
    start = parameters.path or "."
    shown = workspace.shown(start)
    pattern = GlobPattern(_relative(parameters.pattern, start, workspace))
    search = _Search(Walk(workspace, start, skipped=Skipped()), pattern)
    with translate_oserror("search", shown):
        newest = heapq.nsmallest(MAX_FILES, search.matches(), key=lambda entry: (-entry.modified, entry.path))
    paths = (posixpath.normpath(posixpath.join(shown, display(entry.path))) for entry in newest)
    lines = first_lines(paths, limit - LAST_LINES_BYTES)
    last = [f"[{line}]" for line in search.walk.skipped.report()]
    files = f"{search.count} file{'' if search.count == 1 else 's'}" if search.count else "no file matches"
    last.append(
        f"[{files}]" if len(lines) == search.count else f"[{files}, of which the newest {len(lines)} are shown]"
    )
    return "\n".join([*lines, *last])


class _Search:
    def __init__(self, walk: Walk, pattern: GlobPattern) -> None:
        self.walk = walk
        self.pattern = pattern
        self.count = 0

    def matches(self) -> Iterator[Found]:
        """The entries that match, counted."""
        for entry in self.walk:
            if entry.is_directory or not self.pattern.matches(entry.path):
                continue
            if self.walk.is_ignored:
                self.walk.skipped.add(reasons.IGNORED_FILES, display(posixpath.join(self.walk.location, entry.path)))
                continue
            self.count += 1
            yield entry


def _relative(pattern: str, start: str, workspace: Workspace) -> str:
    """The pattern relative to the folder that is searched."""
    if ".." in pattern.split("/"):
        raise ToolError(f"pattern {pattern!r}: leave out '..', and say where to look by path")
    if not pattern.startswith("/"):
        return pattern
    root = posixpath.normpath(posixpath.join(str(workspace.root), workspace.shown(start)))
    if not pattern.startswith(root + "/"):
        raise ToolError(f"pattern {pattern!r}: it is outside the folder that is searched; give it relative to path")
    # The dot keeps a pattern of one name from matching names in any folder.
    return "./" + pattern[len(root) + 1 :]
