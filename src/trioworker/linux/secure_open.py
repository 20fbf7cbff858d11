"""Opens a path below a directory, so that no symlink, `..` or race leads outside.

`openat2` does this in one system call. Where it is missing (before Linux 5.6, or with a strict seccomp profile), and
for absolute symlinks that point back inside, the path is walked in user space: each component is opened from its
parent's descriptor without following symlinks, the target of a symlink is read from its descriptor, and `..` returns to
a descriptor that the walk came from. So no path that another process could change is looked up twice.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, Protocol

from trioworker.linux import syscalls as kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINKS = 40
"""Symlinks that one path may contain; the kernel's own limit (path_resolution(7))."""
MAX_RETRIES = 100
"""Attempts while the path is being changed (EAGAIN from `openat2`); an attacker could change it forever."""

O_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Opener(Protocol):
    """Opens a relative path below the directory `root`, and returns a descriptor.

    `prefixes` are the absolute paths of `root`: an absolute symlink to a path below one of them stays inside.

    Raises:
        OSError: EXDEV if the path leads outside, and what `open` raises.
    """

    def __call__(self, root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> int:
        """Resolve and open."""
        ...


def kernel_opener(root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> int:
    """Open by `openat2`; fall back to the walk for absolute symlinks, which `RESOLVE_BENEATH` always rejects."""
    for _ in range(MAX_RETRIES):
        try:
            return kernel.openat2(root, path, flags, 0, kernel.RESOLVE_BENEATH | kernel.RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return walking_opener(root, path, flags, prefixes)
            if error.errno != errno.EAGAIN:
                raise
    raise _error(errno.EAGAIN)


def walking_opener(root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> int:
    """Open component by component, without `openat2`."""
    walk = _Walk(root, path, flags, prefixes)
    try:
        return walk.open()
    finally:
        walk.close()


def choose_opener(root: int) -> Opener:
    """`kernel_opener` if it works here, else `walking_opener`."""
    try:
        os.close(kernel.openat2(root, b".", os.O_PATH | os.O_DIRECTORY, 0, kernel.RESOLVE_BENEATH))
    except OSError:
        return walking_opener
    return kernel_opener


def relative_to(path: bytes, prefixes: Sequence[bytes]) -> bytes | None:
    """The absolute `path` relative to the root with the paths `prefixes`; None if it is outside."""
    for prefix in prefixes:
        if path == prefix:
            return b"."
        base = prefix.rstrip(b"/") + b"/"
        if path.startswith(base):
            return path[len(base) :].lstrip(b"/") or b"."
    return None


class _Walk:
    """One path resolution. `trail` holds the directories from the root to the current one."""

    def __init__(self, root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> None:
        self.flags = flags | os.O_NOFOLLOW | os.O_CLOEXEC
        self.prefixes = prefixes
        self.links = 0
        self.todo: deque[bytes] = deque()
        self.trail = [os.open(b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)]
        self._push(path)

    def open(self) -> int:
        while self.todo:
            name = self.todo.popleft()
            if name == b"..":
                self._go_up()
                continue
            if name == b".":
                continue
            found = self._look_up(name)
            if found is None:
                continue
            if not self.todo:
                os.close(found)
                return os.open(name, self.flags, dir_fd=self.trail[-1])
            self.trail.append(found)
        # The path ends at a directory of the trail: `.`, `..` or `a/`.
        return os.open(b".", self.flags, dir_fd=self.trail[-1])

    def close(self) -> None:
        for descriptor in self.trail:
            os.close(descriptor)

    def _push(self, path: bytes) -> None:
        if path.startswith(b"/"):
            inside = relative_to(path, self.prefixes)
            if inside is None:
                raise _error(errno.EXDEV)
            while len(self.trail) > 1:
                os.close(self.trail.pop())
            path = inside
        elif not path:
            raise _error(errno.ENOENT)
        parts = [part for part in path.split(b"/") if part]
        if path.endswith(b"/"):
            parts.append(b".")
        self.todo.extendleft(reversed(parts))

    def _go_up(self) -> None:
        if len(self.trail) == 1:
            raise _error(errno.EXDEV)
        os.close(self.trail.pop())

    def _look_up(self, name: bytes) -> int | None:
        """The component's descriptor, or None for a symlink, whose target is then first in `todo`."""
        found = os.open(name, O_PATH_ONLY, dir_fd=self.trail[-1])
        try:
            mode = os.fstat(found).st_mode
            if not stat.S_ISLNK(mode):
                if self.todo and not stat.S_ISDIR(mode):
                    raise _error(errno.ENOTDIR)
                return found
            self.links += 1
            if self.links > MAX_LINKS:
                raise _error(errno.ELOOP)
            target = os.readlink(b"", dir_fd=found)
        except OSError:
            os.close(found)
            raise
        os.close(found)
        self._push(target)
        return None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
