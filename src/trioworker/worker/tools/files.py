"""Reads and replaces whole files, for `read_file`, `write_file` and `apply_patch`."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from trioworker.errors import ToolError
from trioworker.worker.tools.encoding import decode
from trioworker.worker.tools.workspace import translate_oserror

if TYPE_CHECKING:
    from trioworker.worker.tools.encoding import Text
    from trioworker.worker.tools.workspace import Workspace

MEBIBYTE = 1024 * 1024
MAX_READ_BYTES = 10 * MEBIBYTE
"""Bytes of a file that may be read (contract, 'Tools')."""
MAX_WRITE_BYTES = 5 * MEBIBYTE
"""Bytes of a file that may be written at once (contract, 'Tools')."""

NEW_FILE_MODE = 0o666
"""The mode of a new file before the umask, as any program's."""


def read_text(workspace: Workspace, path: str) -> Text:
    """The whole text of a regular file.

    Raises:
        ToolError: it is missing, binary, not a regular file, or larger than `MAX_READ_BYTES`.
    """
    shown = workspace.shown(path)
    with translate_oserror("read", shown):
        data = read_regular(workspace.open_file(path), shown)
    text = decode(data)
    if text is None:
        raise binary_file_error(shown)
    return text


def binary_file_error(shown: str) -> ToolError:
    """The error for a file that isn't text."""
    return ToolError(f"cannot read {shown}: it is a binary file; look at it by shell, with file, strings or xxd")


def read_regular(descriptor: int, shown: str) -> bytes:
    """All bytes of an open file, which is closed.

    Raises:
        ToolError: it isn't a regular file, or it is larger than `MAX_READ_BYTES`.
        OSError: the disk's.
    """
    try:
        check_regular(descriptor, shown)
        # Files in /proc claim a size of 0, so the limit counts what was read.
        pieces: list[bytes] = []
        total = 0
        while piece := os.read(descriptor, MEBIBYTE):
            pieces.append(piece)
            total += len(piece)
            if total > MAX_READ_BYTES:
                limit = MAX_READ_BYTES // MEBIBYTE
                raise ToolError(f"cannot read {shown}: it is larger than {limit} MiB; read parts by shell, or use grep")
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def check_regular(descriptor: int, shown: str) -> os.stat_result:
    """The status of an open file.

    Raises:
        ToolError: it isn't a regular file.
    """
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"cannot read {shown}: it is a directory; use list_dir")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"cannot read {shown}: it is not a regular file")
    return status


def replace_file(workspace: Workspace, path: str, data: bytes) -> None:
    """Make `data` the content of `path` atomically, and keep the mode of the file that it replaces.

    Missing parents are created. A symbolic link stays, and its target is replaced.

    Raises:
        ToolError: the path isn't that of a file, or the file system refuses.
    """
    shown = workspace.shown(path)
    with translate_oserror("write", shown), workspace.parent(path, create=True) as (parent, name):
        mode = _mode_of_existing(parent, name, shown)
        temporary = f".trioworker-{secrets.token_hex(8)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, NEW_FILE_MODE, dir_fd=parent)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                _write_all(file.fileno(), data)
                if mode is not None:
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise


def _mode_of_existing(parent: int, name: bytes, shown: str) -> int | None:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise ToolError(f"cannot write {shown}: it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"cannot write {shown}: it is not a regular file")
    # A rename needs no permission to write the file, but a read-only file was made so on purpose.
    if not os.access(name, os.W_OK, dir_fd=parent, effective_ids=True):
        raise ToolError(f"cannot write {shown}: permission denied")
    return stat.S_IMODE(found.st_mode)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
