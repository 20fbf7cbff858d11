"""`write_file`: creates a file, or replaces all of it.

Models send `\\n` and UTF-8. A file that is replaced keeps its line endings, encoding and byte order mark, since
programs that read it may need them; the result says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools.base import Parameters, Tool, ToolResult
from trioworker.worker.tools.diff import unified_diff
from trioworker.worker.tools.encoding import Text
from trioworker.worker.tools.files import MAX_WRITE_BYTES, MEBIBYTE, replace_file, text_to_replace
from trioworker.worker.tools.other_names import FILE_NAMES, OtherNames, ignored, ignored_if, names_of
from trioworker.worker.tools.redaction_marks import check_marks

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

_LINE_ENDS = {"\n": "LF", "\r\n": "CRLF"}


class WriteFileParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `write_file`."""

    other_names: ClassVar[OtherNames] = {
        **names_of("path", *FILE_NAMES),
        **names_of("content", "contents", "text", "file_text", "file_content", "file_contents", "data", "code"),
        **names_of("content", "code_content", "new_content"),
        "overwrite": ignored_if(True, "write_file always overwrites; check with list_dir whether the file exists"),
        "mode": ignored_if("overwrite", "write_file always overwrites; to add text, use apply_patch or shell"),
        "command": ignored_if("create", "write_file only creates and overwrites; use read_file or apply_patch"),
        "line_count": ignored,
    }

    path: Annotated[str, Meta(description="The file, relative to the workspace.")]
    content: Annotated[str, Meta(description="The complete new content.")]


class WriteFile(Tool[WriteFileParameters]):
    """Writes a file, atomically where possible: a reader sees the old content or the new, never a mixture."""

    name = "write_file"
    description = (
        "Write a file in the workspace, replacing its content. A new file is UTF-8; an existing one keeps its encoding "
        "and line endings. To change part of a file, use apply_patch."
    )
    parameters = WriteFileParameters

    async def run(self, parameters: WriteFileParameters, context: ToolContext) -> ToolResult:
        """Write in a thread. On cancellation it is awaited, so that nothing is written afterwards."""
        return await context.run_in_thread(_write, context.workspace, parameters.path, parameters.content)


def _write(workspace: Workspace, path: str, content: str) -> ToolResult:
    shown = workspace.shown(path)
    _check_unicode(content, shown)
    old = text_to_replace(workspace, path) or Text("", "utf-8")
    check_marks(old.content, content, shown)
    new, data, notes = _like(old, content)
    if len(data) > MAX_WRITE_BYTES:
        limit = MAX_WRITE_BYTES // MEBIBYTE
        raise ToolError(f"cannot write {shown}: {len(data)} bytes exceed the limit of {limit} MiB; write it in parts")
    replace_file(workspace, path, data)
    unit = "byte" if len(data) == 1 else "bytes"
    text = "; ".join([f"wrote {len(data)} {unit} to {shown}", *notes])
    return ToolResult(text=text, diff=unified_diff(shown, old.content, new))


def _check_unicode(content: str, shown: str) -> None:
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"cannot write {shown}: content is not valid Unicode at character {error.start}") from error


def _like(old: Text, content: str) -> tuple[str, bytes, list[str]]:
    """The content with the line endings of the old one, its bytes in the old encoding, and notes for the model."""
    kept: list[str] = []
    notes: list[str] = []
    new = content.removeprefix("\ufeff") if old.mark else content
    ends = new.replace("\r\n", "\n").replace("\n", old.line_end) if old.line_end else new
    if ends != new:
        kept.append(f"{_LINE_ENDS[old.line_end]} line endings")
    if old.mark:
        kept.append(f"{old.encoding} byte order mark")
    try:
        data = old.mark + ends.encode(old.encoding)
    except UnicodeEncodeError as error:
        data = ends.encode()
        notes.append(f"it is now UTF-8: its encoding, {old.encoding}, can't represent {ends[error.start]!r}")
    else:
        if old.encoding != "utf-8" and not old.mark:
            kept.append(f"encoding, {old.encoding}")
    if kept:
        notes.append(f"kept its {' and '.join(kept)}")
    return ends, data, notes
