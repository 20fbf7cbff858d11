"""`write_file`: creates a file, or replaces all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from trioworker.errors import ToolError
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.files import MAX_WRITE_BYTES, MEBIBYTE, replace_file

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext


class WriteFileParameters(Parameters, frozen=True, kw_only=True):
    """Parameters of `write_file`."""

    path: Annotated[str, Meta(description="The file, relative to the workspace. Missing folders are created.")]
    content: Annotated[str, Meta(description="The whole new content; may be empty.")]


class WriteFileResult(msgspec.Struct, frozen=True, kw_only=True):
    """The file, and how much was written."""

    path: str
    bytes_written: int
    success: bool = True


class WriteFile(Tool[WriteFileParameters]):
    """Writes a file atomically: a reader sees the old content or the new, never a part."""

    name = "write_file"
    description = "Write a file of the workspace as UTF-8, replacing its content. To change a part, use apply_patch."
    parameters = WriteFileParameters

    async def run(self, parameters: WriteFileParameters, context: ToolContext) -> WriteFileResult:
        """Write in a thread that is waited for on cancellation, so that no write follows it."""
        workspace = context.workspace
        shown = workspace.shown(parameters.path)
        data = _encoded(parameters.content, shown)
        await context.run_in_thread(replace_file, workspace, parameters.path, data)
        return WriteFileResult(path=shown, bytes_written=len(data))


def _encoded(content: str, shown: str) -> bytes:
    try:
        data = content.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"cannot write {shown}: content is not valid Unicode at character {error.start}") from error
    if len(data) > MAX_WRITE_BYTES:
        limit = MAX_WRITE_BYTES // MEBIBYTE
        raise ToolError(f"cannot write {shown}: {len(data)} bytes are over the limit of {limit} MiB; write it in parts")
    return data
