"""The workspace: the one directory that file tools may touch, held by a descriptor.

All paths that a model gives are resolved here. The result is a descriptor, never a path, so that what was checked is
what is used. A file that doesn't exist yet is given as its parent's descriptor and a name.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trioworker.errors import ConfigError, ToolError
from trioworker.linux.secure_open import MAX_LINKS, choose_opener, relative_to
from trioworker.worker.tools.near_names import near_names
from trioworker.worker.tools.unicode_forms import stored_form

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from trioworker.linux.secure_open import Opener

DIRECTORY_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
READ_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags for reading: a FIFO without a writer must not block, and a terminal must not become our controlling one."""
TEMPORARY_SUFFIX = ".tmp"
MAX_PATH_BYTES = 4095
"""Bytes of a path: the kernel's PATH_MAX without its NUL (linux/limits.h)."""

REASONS = {
    errno.ENOENT: "no such file or directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EISDIR: "it is a directory",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EXDEV: "it is outside the workspace; give a path inside it",
    errno.ELOOP: "too many symbolic links",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EMFILE: "the worker has too many open files; try again with fewer calls at once",
    errno.ENFILE: "the system has too many open files; end background commands, and try again",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.ENXIO: "it is not a regular file",
    errno.EAGAIN: "the path keeps changing; try again",
}


class MissingPathError(FileNotFoundError):
    """A path that doesn't exist in a workspace."""

    def __init__(self, workspace: Workspace, path: bytes) -> None:
        super().__init__(errno.ENOENT, os.strerror(errno.ENOENT))
        self._workspace = workspace
        self._path = path

    def near_names(self) -> list[str]:
        """Paths that may be meant instead."""
        return [display(name) for name in near_names(self._workspace, os.fsdecode(self._path))]


class Workspace:
    """A directory that is open for as long as the job runs. Use as a context manager, or `close()` it.

    Its methods block: call them in a thread. They raise `OSError`, which `translate_oserror` turns into a `ToolError`.
    A name that doesn't exist as given is tried in Unicode's other normal form.

    Attributes:
        root: the directory's absolute path.
        readable: another directory that tools may read, by its absolute path.
    """

    def __init__(self, directory: Path, descriptor: int, opener: Opener, job_id: str) -> None:
        self.root = directory
        self.temporary_prefix = f".trioworker-{sha256(job_id.encode()).hexdigest()[:16]}-"
        """How the names of this job's temporary files begin."""
        self.readable: Workspace | None = None
        self._descriptor = descriptor
        self._opener = opener
        self._lock = threading.Lock()
        names = dict.fromkeys((os.fsencode(directory), os.path.realpath(os.fsencode(directory))))
        self._prefixes = tuple(names)

    @classmethod
    def open(cls, directory: Path, opener: Opener | None = None, *, job_id: str = "") -> Self:
        """Open `directory` for a job. `opener` resolves paths; by default the kernel does, where it can.

        Raises:
            ConfigError: it is not a directory, or may not be entered.
        """
        absolute = Path(os.path.abspath(directory))
        try:
            descriptor = os.open(absolute, DIRECTORY_ONLY)
        except OSError as error:
            raise ConfigError(
                f"workspace {display(str(absolute))}: {reason(error)}; give a directory by --workspace",
            ) from error
        return cls(absolute, descriptor, opener or choose_opener(descriptor), job_id)

    def close(self) -> None:
        """Close the directory. May be called twice."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def open_file(self, path: str) -> int:
        """A descriptor of an existing file, for reading. The caller closes it, and checks the file's type."""
        return self._open_to_read(path, READ_FILE)

    def open_directory(self, path: str) -> int:
        """A descriptor of a directory, for listing and entering. The caller closes it."""
        return self._open_to_read(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextmanager
    def parent(self, path: str, *, create: bool = False, follow: bool = True) -> Generator[tuple[int, bytes]]:
        """The parent's descriptor and the name of the file at `path`, which need not exist.

        Symbolic links are followed, including the last one, so that a write replaces a link's target and not the link;
        without `follow`, the last one is not. `create` creates missing parents.
        """
        relative = self._relative(path)
        for _ in range(MAX_LINKS):
            head, name = os.path.split(stored_form(relative, self._exists))
            if name in (b"", b".", b".."):
                raise _error(errno.EISDIR)
            descriptor = self._make_directories(head) if create else self._open(head or b".", DIRECTORY_ONLY)
            try:
                target = _link_target(descriptor, name) if follow else None
                if target is None:
                    yield descriptor, name
                    return
            finally:
                os.close(descriptor)
            relative = self._inside(os.path.join(head, target))
        raise _error(errno.ELOOP)

    def shown(self, path: str) -> str:
        """The path as shown in results and errors: valid Unicode, and relative to the workspace if it is inside."""
        try:
            relative = self._relative(path)
        except OSError:
            return display(path)
        return display(os.path.normpath(os.fsdecode(relative)))

    def _open_to_read(self, path: str, flags: int) -> int:
        try:
            relative = self._relative(path)
        except OSError as error:
            if error.errno != errno.EXDEV or self.readable is None:
                raise
            return self.readable._open_to_read(path, flags)
        return self._open(relative, flags)

    def _open(self, relative: bytes, flags: int) -> int:
        try:
            return self._open_exactly(relative, flags)
        except FileNotFoundError:
            stored = stored_form(relative, self._exists)
            if stored == relative:
                raise MissingPathError(self, relative) from None
            return self._open_exactly(stored, flags)

    def _open_exactly(self, relative: bytes, flags: int) -> int:
        root = self._borrow()
        try:
            return self._opener(root, relative, flags, self._prefixes)
        finally:
            os.close(root)

    def _exists(self, relative: bytes) -> bool:
        try:
            os.close(self._open_exactly(relative, os.O_PATH | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def _borrow(self) -> int:
        # An abandoned thread may get here after `close`, when the descriptor's number may be in use again.
        with self._lock:
            if self._descriptor < 0:
                raise _error(errno.EBADF)
            return os.dup(self._descriptor)

    def _make_directories(self, relative: bytes) -> int:
        parts = [part for part in relative.split(b"/") if part]
        missing: list[bytes] = []
        while True:
            try:
                descriptor = self._open(b"/".join(parts) or b".", DIRECTORY_ONLY)
                break
            except FileNotFoundError:
                if not parts or parts[-1] in (b".", b".."):
                    raise
                missing.append(parts.pop())
        for name in reversed(missing):
            descriptor = _made(descriptor, name)
        return descriptor

    def _relative(self, path: str) -> bytes:
        try:
            encoded = os.fsencode(path or ".")
        except UnicodeEncodeError:
            raise _error(errno.ENOENT) from None
        if len(encoded) > MAX_PATH_BYTES:
            raise _error(errno.ENAMETOOLONG)
        return self._inside(encoded)

    def _inside(self, path: bytes) -> bytes:
        if not path.startswith(b"/"):
            return path
        inside = relative_to(path, self._prefixes)
        if inside is None:
            raise _error(errno.EXDEV)
        return inside


@contextmanager
def translate_oserror(action: str, shown: str) -> Generator[None]:
    """Turn an `OSError` into `cannot ACTION PATH: REASON`.

    For a path that doesn't exist it searches the workspace for similar ones, which blocks.

    Raises:
        ToolError: instead of any OSError.
    """
    try:
        yield
    except MissingPathError as error:
        near = error.near_names()
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ToolError(f"cannot {action} {shown}: {reason(error)}{hint}") from error
    except OSError as error:
        raise ToolError(f"cannot {action} {shown}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """The error's reason in a few words, with a remedy if there is one."""
    number = error.errno or 0
    return REASONS.get(number) or os.strerror(number).lower()


def display(name: str) -> str:
    """A file name as valid Unicode: it need not be UTF-8, and Python keeps invalid bytes as surrogates."""
    if name.isascii():
        return name
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in name)


def _made(parent: int, name: bytes) -> int:
    """The directory `name` in `parent`, created if it is missing; `parent` is closed."""
    try:
        # It may have been created meanwhile, or be a dangling link; opening it fails only for the link.
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        return os.open(name, DIRECTORY_ONLY | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(parent)


def _link_target(parent: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
