"""Opening a path beneath a directory, so that no symlink, `..` or race leads out: two ways to the same end.

The kernel's own (`openat2`) is one system call. Where it is missing (before Linux 5.6, or under a strict seccomp
profile), and for absolute links that point back inside, the path is walked by hand: each component is opened from its
parent's descriptor without following links, a link's text is read from the descriptor that was found to be a link, and
`..` goes back to a descriptor that the walk came from. So no path that somebody
could change is ever looked up twice.
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
"""Symbolic links that one path may lead through; the kernel's own limit (path_resolution(7))."""
MAX_RETRIES = 100
"""Tries where the path changes under our hands (`openat2` says EAGAIN); a loop without end is an attacker's wish."""

O_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Opener(Protocol):
    """Opens a relative path beneath the directory `root`, and returns a descriptor.

    `prefixes` are the absolute paths by which `root` is known: an absolute link beneath one of them stays inside.

    Raises:
        OSError: EXDEV when the path leads outside, and what `open` raises.
    """

    def __call__(self, root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> int:
        """Resolve and open."""
        ...


def kernel_opener(root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> int:
    """Open by `openat2`; an absolute link, which `RESOLVE_BENEATH` always refuses, is judged by the walk."""
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
    """Open component by component, without help from the kernel."""
    walk = _Walk(root, path, flags, prefixes)
    try:
        return walk.opened()
    finally:
        walk.close()


def choose_opener(root: int) -> Opener:
    """The kernel's way if it works here, else the walk."""
    try:
        os.close(kernel.openat2(root, b".", os.O_PATH | os.O_DIRECTORY, 0, kernel.RESOLVE_BENEATH))
    except OSError:
        return walking_opener
    return kernel_opener


def relative_to(path: bytes, prefixes: Sequence[bytes]) -> bytes | None:
    """The absolute `path` seen from the root that `prefixes` name; None when it does not lie beneath."""
    for prefix in prefixes:
        if path == prefix:
            return b"."
        beneath = prefix.rstrip(b"/") + b"/"
        if path.startswith(beneath):
            return path[len(beneath) :].lstrip(b"/") or b"."
    return None


class _Walk:
    """One resolution. `trail` holds the directories from the root to where the walk stands."""

    def __init__(self, root: int, path: bytes, flags: int, prefixes: Sequence[bytes]) -> None:
        self.flags = flags | os.O_NOFOLLOW | os.O_CLOEXEC
        self.prefixes = prefixes
        self.links = 0
        self.todo: deque[bytes] = deque()
        self.trail = [os.open(b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)]
        self._push(path)

    def opened(self) -> int:
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
        # The path ends at a directory of the trail: `.`, `..`, `a/`.
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
        """The component's descriptor, or None for a link, whose text then stands first in `todo`."""
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
