"""The changes to files that one call makes: planned and checked first, then written."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from trioworker.errors import ToolError
from trioworker.worker.tools.edits import check_size, edited
from trioworker.worker.tools.encoding import Text
from trioworker.worker.tools.files import MEBIBYTE, check_regular, read_text, replace_file
from trioworker.worker.tools.patch_format import AddFile, DeleteFile, UpdateFile
from trioworker.worker.tools.patch_hunks import patched
from trioworker.worker.tools.redaction_marks import check_marks
from trioworker.worker.tools.workspace import translate_oserror

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trioworker.worker.tools.edits import Replacement
    from trioworker.worker.tools.patch_format import Section
    from trioworker.worker.tools.workspace import Workspace


MAX_TOTAL = 24 * MEBIBYTE
"""Bytes of the old and new files of one patch, all of which are in memory: one large file and some others."""


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a file.

    Attributes:
        path: the file, as the model gave it.
        shown: the path as results show it.
        summary: one line for the result.
        before: the old text; empty for a new file, and for a deleted file that isn't text.
        after: the new text; None if the file is deleted.
        data: the bytes to write; None if the content stays.
        target: the new path of a moved file, as the model gave it; empty if it stays.
        spans: the parts of `after` that changed (see `line_ends.Changed`).
    """

    path: str
    shown: str
    summary: str
    before: str = ""
    after: str | None = None
    data: bytes | None = None
    target: str = ""
    spans: list[tuple[int, int]] = []


def edit_file(workspace: Workspace, path: str, replacements: Sequence[Replacement]) -> FileChange:
    """Plan replacements in a file. Replacing an empty text creates a missing file.

    Raises:
        ToolError: the file can't be read, a text to replace is missing or ambiguous, or a redaction mark would be
            written.
    """
    shown = workspace.shown(path)
    if len(replacements) == 1 and not replacements[0].old and not _exists(workspace, path, shown):
        return _without_marks(_created(path, shown, replacements[0].new))
    text = read_text(workspace, path)
    result = edited(text.content, replacements, shown)
    summary = f"edited {shown}: {_number(result.replacements, 'replacement')}"
    change = FileChange(
        path=path,
        shown=shown,
        summary=summary,
        before=text.content,
        after=result.text,
        data=_encoded(text, result.text, shown),
        spans=result.spans,
    )
    return _without_marks(change)


def plan_patch(workspace: Workspace, sections: Iterable[Section]) -> list[FileChange]:
    """Plan the sections of a patch.

    Raises:
        ToolError: one of them can't be applied.
    """
    sections = list(sections)
    try:
        return _all_planned(workspace, sections)
    except ToolError as error:
        if len(sections) == 1:
            raise
        raise ToolError(f"no file was changed: {error}") from error


def write_changes(workspace: Workspace, changes: Sequence[FileChange]) -> None:
    """Make planned changes.

    Raises:
        ToolError: the file system refuses one; the message names those that were made before.
    """
    made: list[str] = []
    for change in changes:
        before = len(made)
        try:
            if change.data is not None:
                replace_file(workspace, change.path, change.data)
                made.append(f"wrote {change.shown}")
            if change.after is None or change.target:
                _move_or_delete(workspace, change)
        except ToolError as error:
            if len(changes) == 1 and not made:
                raise
            done = f"already done: {', '.join(made)}" if made else "no file was changed"
            raise ToolError(f"{error}; {done}") from error
        made[before:] = [change.summary]


def _all_planned(workspace: Workspace, sections: Sequence[Section]) -> list[FileChange]:
    changes: list[FileChange] = []
    seen: set[str] = set()
    size = 0
    for section in sections:
        change = _without_marks(_planned(workspace, section))
        names = {change.shown, *([workspace.shown(change.target)] if change.target else [])}
        if names & seen:
            raise ToolError(f"patch: {min(names & seen)} has two sections; put its hunks into one, in the file's order")
        seen |= names
        changes.append(change)
        size += len(change.before) + len(change.after or "")
        if size > MAX_TOTAL:
            limit = MAX_TOTAL // MEBIBYTE
            raise ToolError(f"patch: its files are over {limit} MiB together; send it in several patches")
    return changes


def _without_marks(change: FileChange) -> FileChange:
    """The change itself, unless it would write a redaction mark."""
    check_marks(change.before, change.after or "", change.shown)
    return change


def _planned(workspace: Workspace, section: Section) -> FileChange:
    path, shown = section.path, workspace.shown(section.path)
    match section:
        case AddFile():
            if _exists(workspace, path, shown):
                raise ToolError(f"cannot create {shown}: it already exists; use `*** Update File` or write_file")
            return _created(path, shown, "".join(f"{line}\n" for line in section.lines))
        case DeleteFile():
            with translate_oserror("delete", shown):
                descriptor = workspace.open_file(path)
                try:
                    check_regular(descriptor, shown)
                finally:
                    os.close(descriptor)
            before = ""
            with suppress(ToolError):
                before = read_text(workspace, path).content
            return FileChange(path=path, shown=shown, summary=f"deleted {shown}", before=before)
        case UpdateFile():
            return _updated(workspace, section, shown)


def _updated(workspace: Workspace, section: UpdateFile, shown: str) -> FileChange:
    text = read_text(workspace, section.path)
    content, spans, data = text.content, list[tuple[int, int]](), None
    summary = f"edited {shown}: {_number(len(section.hunks), 'hunk')}"
    if section.target:
        target = workspace.shown(section.target)
        if _exists(workspace, section.target, target):
            raise ToolError(f"cannot move {shown} to {target}: it already exists; delete it first")
        summary = f"moved {shown} to {target}: {_number(len(section.hunks), 'hunk')}"
    if section.hunks:
        content, spans, _ = patched(text.content, section.hunks, shown)
        data = _encoded(text, content, shown)
    return FileChange(
        path=section.path,
        shown=shown,
        summary=summary,
        before=text.content,
        after=content,
        data=data,
        target=section.target,
        spans=spans,
    )


def _created(path: str, shown: str, content: str) -> FileChange:
    data = _encoded(Text("", "utf-8"), content, shown)
    summary = f"created {shown}: {_number(len(data), 'byte')}"
    return FileChange(path=path, shown=shown, summary=summary, after=content, data=data)


def _encoded(text: Text, content: str, shown: str) -> bytes:
    data = text.encode(content, shown)
    check_size(len(data), shown)
    return data


def _exists(workspace: Workspace, path: str, shown: str) -> bool:
    with translate_oserror("write", shown):
        try:
            os.close(workspace.open_file(path))
        except FileNotFoundError:
            return False
    return True


def _move_or_delete(workspace: Workspace, change: FileChange) -> None:
    with (
        translate_oserror("move" if change.target else "delete", change.shown),
        workspace.parent(change.path, follow=False) as (folder, name),
    ):
        if change.target:
            with workspace.parent(change.target, create=True) as (parent, new_name):
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=parent)
        else:
            os.unlink(name, dir_fd=folder)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
