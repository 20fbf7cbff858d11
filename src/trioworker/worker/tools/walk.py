"""The folders and files beneath a directory, nearest first: what `list_dir`, `glob` and `grep` go through."""

from __future__ import annotations

import os
import posixpath
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.worker.tools.workspace import Workspace

NOT_ENTERED = frozenset({"node_modules", "target", ".git", "__pycache__", "venv", ".venv"})
"""Folders that are listed and not entered (contract, 'Tools'): large, and made by machines."""

NO_LIMIT = 1 << 30


class Found(msgspec.Struct, frozen=True):
    """One entry. `path` is relative to where the walk began; links are told as links, never followed."""

    path: str
    is_directory: bool
    is_file: bool
    size: int
    modified: int
    """Bytes, and nanoseconds since 1970."""


def walk(workspace: Workspace, start: str, max_depth: int = NO_LIMIT) -> Iterator[Found]:
    """The entries beneath `start`, folder by folder, each sorted by name; `max_depth` levels of folders are entered.

    To be called in a worker thread; it ends with the call that the thread works for. A folder beneath that can't be
    listed, or that vanishes meanwhile, is passed over.

    Raises:
        OSError: `start` can't be listed.
    """
    entries = _entries(workspace, start, "")
    waiting: deque[tuple[str, int]] = deque()
    depth = 0
    while True:
        for entry in entries:
            if entry.is_directory and depth < max_depth and posixpath.basename(entry.path) not in NOT_ENTERED:
                waiting.append((entry.path, depth + 1))
            yield entry
        if not waiting:
            return
        folder, depth = waiting.popleft()
        entries = []
        with suppress(OSError):
            entries = _entries(workspace, posixpath.join(start, folder), folder)


def _entries(workspace: Workspace, path: str, prefix: str) -> list[Found]:
    # The thread of a cancelled call is left behind: this is where it learns of that.
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
