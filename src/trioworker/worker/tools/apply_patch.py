"""`apply_patch`: replaces exact text in a file, or applies a patch to several; all other bytes stay the same.

A call makes all of its changes or none: every file is read and every change is checked before the first write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta

from trioworker.errors import InvalidParametersError
from trioworker.protocol.json_size import TOO_MANY_VALUES, has_too_many_values
from trioworker.protocol.limits import DIFF_PREVIEW_BYTES
from trioworker.worker.tools.arguments import with_real_names
from trioworker.worker.tools.base import Parameters, Tool, ToolResult
from trioworker.worker.tools.change_checks import check_changes
from trioworker.worker.tools.changed_lines import MAX_LINES, changed_lines
from trioworker.worker.tools.diff import unified_diff
from trioworker.worker.tools.edits import MAX_EDITS, Replacement
from trioworker.worker.tools.file_changes import FileChange, edit_file, plan_patch, write_changes
from trioworker.worker.tools.line_ends import flat
from trioworker.worker.tools.other_names import FILE_NAMES, OtherNames, ignored, ignored_if, names_of
from trioworker.worker.tools.patch_format import parse_patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

OLD_NAMES = ("old_str", "old_text", "old_content", "old_code", "old", "search", "find", "original")
NEW_NAMES = ("new_str", "new_text", "new_content", "new_code", "new", "replace", "replacement", "updated")


class Edit(Parameters, frozen=True, kw_only=True):
    """One replacement of several."""

    other_names: ClassVar[OtherNames] = {
        **names_of("old_string", *OLD_NAMES),
        **names_of("new_string", *NEW_NAMES),
        **names_of("replace_all", "allow_multiple", "all"),
    }

    old_string: str
    new_string: str
    replace_all: bool = False


def _edits(value: Any, _given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Edits with other parameter names, as JSON text, or a single one."""
    if isinstance(value, str):
        if has_too_many_values(value):
            raise ValueError(TOO_MANY_VALUES)
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            raise ValueError("expected a list of objects with old_string and new_string") from None
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    edits: list[Any] = []
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError("expected a list of objects with old_string and new_string")
        try:
            edits.append(with_real_names(Edit, cast("dict[str, Any]", item)))
        except InvalidParametersError as error:
            raise ValueError(f"item {index}: {'; '.join(error.problems)}") from None
    return {"edits": edits}


class ApplyPatchParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `apply_patch`."""

    other_names: ClassVar[OtherNames] = {
        **Edit.other_names,
        **names_of("path", *FILE_NAMES),
        **names_of("edits", "changes", "replacements"),
        **names_of("patch", "input", "diff"),
        "edits": _edits,
        "expected_replacements": ignored_if(1, "to replace every match, set replace_all"),
        "command": ignored_if("str_replace", "apply_patch only replaces text; use read_file or write_file"),
        "dry_run": ignored_if(False, "apply_patch always writes"),
        "instruction": ignored,
        "instructions": ignored,
    }

    path: Annotated[str, Meta(description="The file, relative to the workspace.")] | None = None
    old_string: Annotated[str, Meta(description="The text to replace, exactly as in the file.")] | None = None
    new_string: Annotated[str, Meta(description="The text to put in its place.")] | None = None
    replace_all: Annotated[bool, Meta(description="Replace every match.")] = False
    edits: (
        Annotated[list[Edit], Meta(description="Several replacements in the file, instead of old_string.")] | None
    ) = None
    patch: (
        Annotated[str, Meta(description="Or changes to several files: `*** Begin Patch` … `*** End Patch`.")] | None
    ) = None


class ApplyPatch(Tool[ApplyPatchParameters]):
    """Replaces text that is quoted exactly, so that a misunderstanding changes nothing."""

    name = "apply_patch"
    description = (
        "Replace text in a file. old_string must match exactly, including whitespace, and occur only once unless "
        "replace_all is true: include enough surrounding lines. Either all edits are made or none."
    )
    parameters = ApplyPatchParameters

    async def run(self, parameters: ApplyPatchParameters, context: ToolContext) -> ToolResult:
        """Edit in a thread that is waited for on cancellation."""
        return await context.run_in_thread(_apply, parameters, context.workspace)


def _apply(parameters: ApplyPatchParameters, workspace: Workspace) -> ToolResult:
    if parameters.patch and parameters.patch.strip():
        _refuse_with("patch", parameters, ("old_string", "new_string", "edits"))
        changes = plan_patch(workspace, parse_patch(parameters.patch))
        check_changes(workspace, changes)
        _check_path(parameters.path, changes, workspace)
    else:
        if not parameters.path:
            raise InvalidParametersError(["path: required but missing"])
        changes = [edit_file(workspace, parameters.path, _replacements(parameters))]
    write_changes(workspace, changes)
    return _result(changes)


def _replacements(parameters: ApplyPatchParameters) -> list[Replacement]:
    everywhere = parameters.replace_all
    if parameters.edits:
        _refuse_with("edits", parameters, ("old_string", "new_string"))
        if len(parameters.edits) > MAX_EDITS:
            raise InvalidParametersError([f"edits: at most {MAX_EDITS} are allowed, not {len(parameters.edits)}"])
        return [
            Replacement(edit.old_string, edit.new_string, edit.replace_all or everywhere) for edit in parameters.edits
        ]
    old, new = parameters.old_string, parameters.new_string
    if old is None or new is None:
        missing = [name for name in ("old_string", "new_string") if getattr(parameters, name) is None]
        raise InvalidParametersError([f"{', '.join(missing)}: required unless edits or patch is given"])
    return [Replacement(old, new, everywhere)]


def _refuse_with(name: str, parameters: ApplyPatchParameters, others: Sequence[str]) -> None:
    """Refuse a call that combines two kinds of changes."""
    given = [other for other in others if getattr(parameters, other)]
    if given:
        raise InvalidParametersError([f"{', '.join(given)}: can't be combined with {name}; give one or the other"])


def _check_path(path: str | None, changes: Sequence[FileChange], workspace: Workspace) -> None:
    """Refuse a path that the patch doesn't change."""
    if path and workspace.shown(path) not in {change.shown for change in changes}:
        raise InvalidParametersError([f"path: the patch does not change {workspace.shown(path)}; omit path"])


def _result(changes: Sequence[FileChange]) -> ToolResult:
    lines: list[str] = []
    room = MAX_LINES
    for change in changes:
        lines.append(change.summary)
        shown = changed_lines(flat(change.after or ""), change.spans, room) if room else []
        room = max(room - len(shown), 0)
        lines += shown
    return ToolResult(text="\n".join(lines), diff=_diff(changes))


def _diff(changes: Sequence[FileChange]) -> str:
    """The diffs of the first files, as many as fit."""
    shown: list[str] = []
    room = DIFF_PREVIEW_BYTES
    for change in changes:
        diff = unified_diff(change.target or change.shown, change.before, change.after or "")
        room -= len(diff.encode(errors="replace")) + 1
        if shown and room < 0:
            break
        shown.append(diff)
    return "\n".join(filter(None, shown))
