"""`glob`: files by the pattern of their path, those changed last first."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.search_patterns import glob_pattern
from trioworker.worker.tools.walk import walk
from trioworker.worker.tools.workspace import display, translate_oserror

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

MAX_FILES = 200
"""Files that are told (contract, 'Tools')."""


class GlobParameters(Parameters, frozen=True, kw_only=True):
    """What `glob` takes."""

    pattern: Annotated[str, Meta(description="As `src/**/*.py`; without a slash it is for names in any folder.")]
    path: Annotated[str, Meta(description="Where to look, relative to the workspace; absent: all of it.")] | None = None


class GlobResult(msgspec.Struct, frozen=True, kw_only=True):
    """`files` are relative to the workspace, newest first, `count` of them; `truncated` when there were more."""

    files: list[str]
    count: int
    truncated: bool


class Glob(Tool[GlobParameters]):
    """Finds files by name."""

    name = "glob"
    description = (
        "Find files by a pattern of their path (`*`, `**`, `?`, `[a-z]`, `{a,b}`), newest first, 200 at the most. "
        "Folders such as node_modules and .git are not entered."
    )
    parameters = GlobParameters
    reads_only = True

    async def run(self, parameters: GlobParameters, context: ToolContext) -> GlobResult:
        """Search in a thread that a cancelled call leaves behind, since a disk may hang."""
        return await context.run_in_thread(_glob, parameters, context.workspace, abandon=True)


def _glob(parameters: GlobParameters, workspace: Workspace) -> GlobResult:
    start = parameters.path or "."
    pattern = glob_pattern(_beneath(parameters.pattern, start, workspace))
    shown = workspace.shown(start)
    with translate_oserror("search", shown):
        matches = [
            entry
            for entry in walk(workspace, start)
            if not entry.is_directory and pattern.fullmatch(display(entry.path).encode())
        ]
    matches.sort(key=lambda entry: (-entry.modified, entry.path))
    files = [posixpath.normpath(posixpath.join(shown, display(entry.path))) for entry in matches[:MAX_FILES]]
    return GlobResult(files=files, count=len(files), truncated=len(matches) > MAX_FILES)


def _beneath(pattern: str, start: str, workspace: Workspace) -> str:
    """The pattern relative to where the search begins."""
    if ".." in pattern.split("/"):
        raise ToolError(f"pattern {pattern!r}: leave out '..', and say where to look by path")
    if not pattern.startswith("/"):
        return pattern
    root = posixpath.normpath(posixpath.join(str(workspace.root), workspace.shown(start)))
    if not pattern.startswith(root + "/"):
        raise ToolError(f"pattern {pattern!r}: it lies outside of where the search begins; give it relative to path")
    # The dot keeps a pattern of one name from being taken for names in any folder.
    return "./" + pattern[len(root) + 1 :]
