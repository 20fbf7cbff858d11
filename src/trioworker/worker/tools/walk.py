"""The folders and files below a directory, nearest first: what `list_dir`, `glob` and `grep` go through."""

from __future__ import annotations

import os
import posixpath
from collections import deque
from contextlib import suppress
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
        self._ignored: frozenset[str] = frozenset()

    def is_ignored(self, entry: Found) -> bool:
        """Whether git ignores the entry that was yielded last, or another of the same folder."""
        return entry.path in self._ignored

    def __iter__(self) -> Iterator[Found]:
        """Walk.

        Raises:
            OSError: `start` can't be listed.
        """
        entries = _entries(self.workspace, self.start, "")
        rules = GitIgnore.above(self.workspace, self.location)
        waiting: deque[tuple[str, int, GitIgnore | None]] = deque()
        folder, depth = "", 0
        while True:
            rules = self._apply(rules, folder, entries)
            for entry in entries:
                if entry.is_directory and depth < self.max_depth:
                    if self._is_entered(entry):
                        waiting.append((entry.path, depth + 1, rules))
                    elif posixpath.basename(entry.path) not in NOT_REPORTED:
                        self.skipped.add(reasons.FOLDERS, self._shown(entry.path))
                yield entry
            if not waiting:
                return
            folder, depth, rules = waiting.popleft()
            entries = []
            try:
                entries = _entries(self.workspace, posixpath.join(self.start, folder), folder)
            except OSError:
                self.skipped.add(reasons.UNREADABLE, self._shown(folder))

    def _apply(self, rules: GitIgnore | None, folder: str, entries: list[Found]) -> GitIgnore | None:
        """Take the folder's own rules into account. Returns those for the folders in it."""
        if any(entry.path == posixpath.join(folder, NAME) for entry in entries):
            rules = GitIgnore.read(self.workspace, posixpath.join(self.location, folder).rstrip("/"), rules)
        self._ignored = frozenset(
            entry.path
            for entry in entries
            if rules is not None
            and rules.ignores(posixpath.join(self.location, entry.path), is_directory=entry.is_directory)
        )
        return rules

    def _is_entered(self, entry: Found) -> bool:
        return posixpath.basename(entry.path) not in reasons.NOT_ENTERED and entry.path not in self._ignored

    def _shown(self, path: str) -> str:
        return display(posixpath.join(self.location, path))


def _entries(workspace: Workspace, path: str, prefix: str) -> list[Found]:
    # The thread of a cancelled call is abandoned, and stops here.
    trio.from_thread.check_cancelled()
    descriptor = workspace.open_directory(path)
    found: list[Found] = []
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append(
                        Found(
                            posixpath.join(prefix, entry.name),
                            entry.is_dir(follow_symlinks=False),
                            entry.is_file(follow_symlinks=False),
                            status.st_size,
                            status.st_mtime_ns,
                        ),
                    )
    finally:
        os.close(descriptor)
    found.sort(key=lambda entry: entry.path)
    return found
