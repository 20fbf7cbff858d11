"""The folders and files below a directory, nearest first: what `list_dir`, `glob` and `grep` go through."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.worker.tools import skipped as reasons
from trioworker.worker.tools.gitignore import NAME, GitIgnore
from trioworker.worker.tools.skipped import Skipped
from trioworker.worker.tools.workspace import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.worker.tools.workspace import Workspace

NOT_REPORTED = frozenset({".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"})
"""Folders that a search leaves out without reporting it: the repository, and caches that nobody searches."""

NO_LIMIT = 1 << 30

MAX_ENTRIES = 200_000
"""Entries of one folder that are listed, each of which takes a hundred bytes of memory."""
MAX_WAITING = 100_000
"""Folders that wait to be entered."""


class Found(msgspec.Struct, frozen=True):
    """One entry. `path` is relative to where the walk started; links are reported as links, never followed."""

    path: str
    is_directory: bool
    is_file: bool
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since 1970."""


class Walk:
    """The entries below `start`, folder by folder, each sorted by name; `max_depth` levels of folders are entered.

    Iterate in a worker thread: it stops when the call that the thread works for is cancelled. Folders that git ignores
    are yielded and not entered. What can't be listed, or vanishes meanwhile, is noted in `skipped`.

    Attributes:
        is_ignored: whether git ignores the entry that was yielded last.
    """

    def __init__(
        self, workspace: Workspace, start: str, max_depth: int = NO_LIMIT, skipped: Skipped | None = None
    ) -> None:
        self.workspace = workspace
        self.start = start
        shown = workspace.shown(start)
        self.location = "" if shown == "." else shown
        """`start` relative to the workspace; "" for the workspace itself."""
        self.max_depth = max_depth
        self.skipped = skipped or Skipped()
        self.is_ignored = False

    def __iter__(self) -> Iterator[Found]:
        """Walk.

        Raises:
            OSError: `start` can't be listed.
        """
        names, descriptor = self._listed(self.start, "")
        rules = GitIgnore.above(self.workspace, self.location)
        waiting: deque[tuple[str, int, GitIgnore | None]] = deque()
        folder, depth = "", 0
        while True:
            try:
                if NAME in names:
                    rules = GitIgnore.read(self.workspace, posixpath.join(self.location, folder).rstrip("/"), rules)
                for entry in self._found(descriptor, folder, names, rules):
                    if entry.is_directory and depth < self.max_depth and self._is_entered(entry):
                        if len(waiting) < MAX_WAITING:
                            waiting.append((entry.path, depth + 1, rules))
                        else:
                            self.skipped.add(reasons.TOO_MANY_FOLDERS, self._shown(entry.path))
                    yield entry
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
            if not waiting:
                return
            folder, depth, rules = waiting.popleft()
            try:
                names, descriptor = self._listed(posixpath.join(self.start, folder), folder)
            except OSError:
                self.skipped.add(reasons.UNREADABLE, self._shown(folder))
                names, descriptor = [], -1

    def _listed(self, path: str, folder: str) -> tuple[list[str], int]:
        """The names in a folder, sorted, and its descriptor. Only names: a folder may have a million entries."""
        # The thread of a cancelled call is abandoned, and stops here.
        trio.from_thread.check_cancelled()
        descriptor = self.workspace.open_directory(path)
        try:
            with os.scandir(descriptor) as entries:
                names = [entry.name for entry in islice(entries, MAX_ENTRIES)]
                if next(entries, None) is not None:
                    self.skipped.add(reasons.TOO_MANY_ENTRIES, self._shown(folder) or ".")
        except BaseException:
            os.close(descriptor)
            raise
        names.sort()
        return names, descriptor

    def _found(self, descriptor: int, folder: str, names: list[str], rules: GitIgnore | None) -> Iterator[Found]:
        for name in names:
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            path = posixpath.join(folder, name)
            is_directory = stat.S_ISDIR(status.st_mode)
            self.is_ignored = rules is not None and rules.ignores(
                posixpath.join(self.location, path), is_directory=is_directory
            )
            yield Found(path, is_directory, stat.S_ISREG(status.st_mode), status.st_size, status.st_mtime_ns)

    def _is_entered(self, entry: Found) -> bool:
        """Whether a folder is entered. It is noted if not."""
        name = posixpath.basename(entry.path)
        if name not in reasons.NOT_ENTERED and not self.is_ignored:
            return True
        if name not in NOT_REPORTED:
            self.skipped.add(reasons.FOLDERS, self._shown(entry.path))
        return False

    def _shown(self, path: str) -> str:
        return display(posixpath.join(self.location, path))
