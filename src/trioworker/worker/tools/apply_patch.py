"""`apply_patch`: replaces exact text of a file; everything else stays byte for byte.

Models see and send `\\n`. In a file whose lines end with `\\r\\n`, both texts get those line ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.files import MAX_READ_BYTES, MEBIBYTE, read_text, replace_file

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext
    from trioworker.worker.tools.workspace import Workspace

MAX_LINES_LISTED = 20
"""Line numbers that an error lists; more would not help to choose."""


class ApplyPatchParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `apply_patch`."""

    path: Annotated[str, Meta(description="The file, relative to the workspace.")]
    old_string: Annotated[str, Meta(description="The text to replace, exactly as in the file, without line numbers.")]
    new_string: Annotated[str, Meta(description="The text to put in its place; may be empty.")]
    replace_all: Annotated[
        bool, Meta(description="Replace every match; otherwise old_string must occur only once.")
    ] = False


class ApplyPatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many matches were replaced."""

    path: str
    replacements: int
    success: bool = True


class ApplyPatch(Tool[ApplyPatchParameters]):
    """Replaces text that is quoted exactly, so that a misunderstanding changes nothing."""

    name = "apply_patch"
    description = (
        "Replace old_string by new_string in a file. old_string must match exactly, white space included, and occur "
        "only once unless replace_all is true; quote enough lines around it."
    )
    parameters = ApplyPatchParameters

    async def run(self, parameters: ApplyPatchParameters, context: ToolContext) -> ApplyPatchResult:
        """Edit in a thread that is waited for on cancellation."""
        return await context.run_in_thread(_apply, parameters, context.workspace)


def _apply(parameters: ApplyPatchParameters, workspace: Workspace) -> ApplyPatchResult:
    shown = workspace.shown(parameters.path)
    text = read_text(workspace, parameters.path)
    old, new = _with_line_ends_of(text.content, parameters.old_string, parameters.new_string)
    if not old:
        if text.content:
            raise ToolError("old_string is empty; quote the text to replace, or use write_file for the whole file")
        count, content = 1, new
    else:
        count = _checked_count(text.content, old, parameters, shown)
        # Before replacing: a short text that occurs a million times could grow without bound.
        _check_size(len(text.content) + count * (len(new) - len(old)), shown)
        content = text.content.replace(old, new)
    data = text.encode(content, shown)
    _check_size(len(data), shown)
    replace_file(workspace, parameters.path, data)
    return ApplyPatchResult(path=shown, replacements=count)


def _checked_count(content: str, old: str, parameters: ApplyPatchParameters, shown: str) -> int:
    if parameters.old_string == parameters.new_string:
        raise ToolError("old_string and new_string are the same; nothing would change")
    count = content.count(old)
    if count == 0:
        raise ToolError(f"old_string is not in {shown}; {_hint(content, old)}")
    if count > 1 and not parameters.replace_all:
        raise ToolError(
            f"old_string occurs {count} times in {shown}, on lines {_lines(content, old)}; "
            "quote more lines around it, or set replace_all",
        )
    return count


def _check_size(size: int, shown: str) -> None:
    if size > MAX_READ_BYTES:
        limit = MAX_READ_BYTES // MEBIBYTE
        raise ToolError(f"cannot write {shown}: it would be larger than {limit} MiB, and could not be read again")


def _with_line_ends_of(content: str, old: str, new: str) -> tuple[str, str]:
    ends = content.count("\r\n")
    if ends == 0:
        if "\r\n" in old and old not in content:
            return _lf(old), _lf(new)
        return old, new
    if ends == content.count("\n") or old not in content:
        return _crlf(old), _crlf(new)
    return old, new


def _crlf(text: str) -> str:
    return _lf(text).replace("\n", "\r\n")


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _lines(content: str, old: str) -> str:
    numbers: list[str] = []
    line, position = 1, 0
    found = content.find(old)
    while found >= 0:
        if len(numbers) == MAX_LINES_LISTED:
            numbers.append("…")
            break
        line += content.count("\n", position, found)
        numbers.append(str(line))
        position = found
        found = content.find(old, found + len(old))
    return ", ".join(numbers)


def _hint(content: str, old: str) -> str:
    """What to do about the probable mistake."""
    if re.search(r"^ *\d+│", old, re.MULTILINE):
        return "leave out the line numbers that read_file shows"
    line = _line_ignoring_white_space(content, old)
    if line:
        return f"line {line} differs only in white space: quote it exactly"
    return "read the file again and quote it exactly"


def _line_ignoring_white_space(content: str, old: str) -> int:
    """The line where `old` matches except for indentation and trailing spaces; 0 if there is none."""
    wanted = _stripped(old.strip())
    if not wanted.strip():
        return 0
    lines = _stripped(content)
    # One search in one text, since comparing lists of lines at each line would be quadratic.
    found = lines.find(wanted)
    return lines.count("\n", 0, found + 1) if found >= 0 else 0


def _stripped(text: str) -> str:
    """Each line without white space around it, and with a line end before and after."""
    return "".join(["\n", *(line.strip() + "\n" for line in text.split("\n"))])
