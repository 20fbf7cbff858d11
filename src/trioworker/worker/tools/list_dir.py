"""`list_dir`: the entries of a folder, and of the folders in it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.cut import LAST_LINES_BYTES, first_lines
from trioworker.worker.tools.other_names import FOLDER_NAMES, OtherNames, ignored_if, names_of, whole_number
from trioworker.worker.tools.walk import NO_LIMIT, Found, Walk
from trioworker.worker.tools.workspace import display, translate_oserror

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

MAX_ENTRIES = 500
"""Entries of a result (contract, 'Tools'); of a larger tree, those nearest to the folder."""
DEFAULT_DEPTH = 3
"""Levels of folders that a recursive listing enters by default (contract, 'Tools')."""

KILO = 1024


def _depth(value: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Levels of entries, as other agents count them: 1 means only the folder itself."""
    levels = whole_number(value)
    if "recursive" in given:
        return {"max_depth": levels}
    return {"recursive": levels > 1, "max_depth": max(levels - 1, 1)}


class ListDirParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `list_dir`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("path", *FOLDER_NAMES, "file_path"),
        "depth": _depth,
        "show_hidden": ignored_if(True, "hidden entries are always listed"),
        "include_hidden": ignored_if(True, "hidden entries are always listed"),
    }

    path: Annotated[str, Meta(description="The folder, relative to the workspace (default: the workspace).")] | None = (
        None
    )
    recursive: Annotated[bool, Meta(description="Also list subfolders.")] | None = None
    max_depth: Annotated[int, Meta(description="Levels of subfolders to enter if recursive (0: all).")] | None = (
        DEFAULT_DEPTH
    )


class ListDir(Tool[ListDirParameters]):
    """Lists a folder."""

    name = "list_dir"
    description = (
        "List a folder: folders as `name/`, files as `name (1.2KB)`, at most 500 entries. Folders that git ignores, "
        "and others such as node_modules, are listed but not entered."
    )
    parameters = ListDirParameters
    reads_only = True

    async def run(self, parameters: ListDirParameters, context: ToolContext) -> str:
        """List in a thread that is abandoned on cancellation, since a disk may hang."""
        return await context.run_in_thread(_list, parameters, context.workspace, context.output_limit, abandon=True)


def human_size(size: int) -> str:
    """A number of bytes for people: `512B`, `1.2KB`, `3.4MB`."""
    if size < KILO:
        return f"{size}B"
    for unit, power in (("KB", 1), ("MB", 2)):
        if size < KILO ** (power + 1):
            return f"{size / KILO**power:.1f}{unit}"
    return f"{size / KILO**3:.1f}GB"


def _list(parameters: ListDirParameters, workspace: Workspace, limit: int) -> str:
    start = parameters.path or "."
    shown = workspace.shown(start)
    depth = 0
    if parameters.recursive:
        wanted = DEFAULT_DEPTH if parameters.max_depth is None else parameters.max_depth
        depth = wanted if wanted > 0 else NO_LIMIT
    walk = Walk(workspace, start, depth)
    with translate_oserror("list", shown):
        found = list(islice(walk, MAX_ENTRIES + 1))
    entries = sorted(found[:MAX_ENTRIES], key=lambda entry: (not entry.is_directory, entry.path))
    lines = first_lines(map(_shown, entries), limit - LAST_LINES_BYTES)
    last = [f"[{line}]" for line in walk.skipped.report()] if parameters.recursive else []
    if parameters.recursive and any(entry.is_directory and entry.path.count("/") == depth for entry in entries):
        last.append(f"[folders below level {depth} are not listed; to see more, set path or max_depth]")
    if len(found) > len(lines):
        last.append(f"[only {len(lines)} entries are shown; to see others, list a subfolder or use glob]")
    return "\n".join([*lines, *last]) or "[the folder is empty]"


def _shown(entry: Found) -> str:
    name = display(entry.path)
    return f"{name}/" if entry.is_directory else f"{name} ({human_size(entry.size)})"
