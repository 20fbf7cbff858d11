"""Reads and replaces whole files, for `read_file`, `write_file` and `apply_patch`."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from trioworker.errors import ToolError
from trioworker.worker.tools.encoding import decode
from trioworker.worker.tools.file_attributes import copy_attributes
from trioworker.worker.tools.workspace import READ_FILE, TEMPORARY_SUFFIX, translate_oserror

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
PRIVATE_MODE = 0o600
"""The mode of a temporary file until it is complete, and gets that of the file that it replaces."""
NO_RENAME = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV))
"""Errors of creating or renaming a temporary file after which the file itself may still be writable: its folder isn't
writable, or it is a mount point."""


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
    return ToolError(f"cannot read {shown}: it is a binary file; inspect it with file, strings or xxd in shell")


def text_to_replace(workspace: Workspace, path: str) -> Text | None:
    """The text of the file that a write will replace; None if there is none, or it can't be read as text.

    Of a file larger than `MAX_READ_BYTES`, only the lines within this limit are read.
    """
    try:
        descriptor = workspace.open_file(path)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with translate_oserror("read", workspace.shown(path)):
            data = _read_up_to(descriptor, MAX_READ_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_READ_BYTES:
        data = data[: data.rfind(b"\n", 0, MAX_READ_BYTES) + 1]
    return decode(data)


def read_regular(descriptor: int, shown: str) -> bytes:
    """All bytes of an open file, which is closed.

    Raises:
        ToolError: it isn't a regular file, or it is larger than `MAX_READ_BYTES`.
        OSError: the disk's.
    """
    try:
        check_regular(descriptor, shown)
        data = _read_up_to(descriptor, MAX_READ_BYTES + 1)
        if len(data) > MAX_READ_BYTES:
            limit = MAX_READ_BYTES // MEBIBYTE
            raise ToolError(
                f"cannot read {shown}: it is larger than {limit} MiB; read parts of it with shell, or use grep"
            )
        return data
    finally:
        os.close(descriptor)


def _read_up_to(descriptor: int, limit: int) -> bytes:
    """At most the next `limit` bytes. Files in /proc claim a size of 0, so only reading shows their size."""
    pieces: list[bytes] = []
    while limit and (piece := os.read(descriptor, min(limit, MEBIBYTE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


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
    """Make `data` the content of `path`, and keep everything else of the file that it replaces.

    The new content is written to a temporary file, which replaces the old one atomically. Where that would change more
    than the content (another owner, hard links) or isn't possible (a mount, a read-only folder), the file is written in
    place, and a worker that is killed meanwhile leaves a mixture. Missing parents are created. A symbolic link stays,
    and its target is replaced.

    Raises:
        ToolError: the path isn't that of a file, or the file system refuses.
    """
    shown = workspace.shown(path)
    with translate_oserror("write", shown), workspace.parent(path, create=True) as (parent, name):
        links = links_of_existing(parent, name, shown)
        temporary = f"{workspace.temporary_prefix}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        if links == 0:
            _write_by_rename(parent, name, temporary, data)
        elif links > 1 or not _replaced(parent, name, temporary, data):
            _write_in_place(parent, name, data)


def links_of_existing(parent: int, name: bytes, shown: str) -> int:
    """How many names a file has; 0 if there is none yet.

    Raises:
        ToolError: it can't be replaced: it isn't a regular file, or it is read-only.
    """
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    if stat.S_ISDIR(found.st_mode):
        raise ToolError(f"cannot write {shown}: it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"cannot write {shown}: it is not a regular file")
    # A rename needs no permission to write the file, but a read-only file was made so on purpose.
    if not os.access(name, os.W_OK, dir_fd=parent, effective_ids=True):
        raise ToolError(f"cannot write {shown}: permission denied")
    return found.st_nlink


def _replaced(parent: int, name: bytes, temporary: str, data: bytes) -> bool:
    """Replace an existing file, unless it has to be written in place."""
    try:
        existing = os.open(name, READ_FILE | os.O_NOFOLLOW, dir_fd=parent)
    except PermissionError:
        return False  # its attributes can't be read
    try:
        return _write_by_rename(parent, name, temporary, data, existing)
    except OSError as error:
        if error.errno in NO_RENAME:
            return False
        raise
    finally:
        os.close(existing)


def _write_by_rename(parent: int, name: bytes, temporary: str, data: bytes, existing: int | None = None) -> bool:
    """Write a temporary file with the attributes of the open file `existing`, and rename it.

    Returns False, and changes nothing, if the attributes can't be copied.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    mode = NEW_FILE_MODE if existing is None else PRIVATE_MODE
    with open(os.open(temporary, flags, mode, dir_fd=parent), "wb", buffering=0) as file:
        try:
            _write_all(file.fileno(), data)
            # Last, since the kernel takes set-ID bits and capabilities away from a file that is written.
            if existing is not None and not copy_attributes(existing, file.fileno()):
                os.unlink(temporary, dir_fd=parent)
                return False
            os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise
    return True


def _write_in_place(parent: int, name: bytes, data: bytes) -> None:
    """Overwrite a file. If the disk refuses, the old content is written back."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    readable = os.access(name, os.R_OK, dir_fd=parent, effective_ids=True)
    descriptor = os.open(name, flags | (os.O_RDWR if readable else os.O_WRONLY), dir_fd=parent)
    with open(descriptor, "wb", buffering=0):
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        overwritten = os.pread(descriptor, len(data), 0) if readable else b""
        try:
            _write_all(descriptor, data)
            # Last, so that no content is lost before the new one is there.
            os.ftruncate(descriptor, len(data))
        except OSError:
            os.lseek(descriptor, 0, os.SEEK_SET)
            _write_all(descriptor, overwritten)
            os.ftruncate(descriptor, before.st_size)
            raise
        # The kernel takes set-ID bits away from a file that is written.
        if os.fstat(descriptor).st_mode != before.st_mode:
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
