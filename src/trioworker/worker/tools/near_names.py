"""Paths that may be meant by one that doesn't exist: the same name elsewhere, or a similar one."""

from __future__ import annotations

import difflib
import os
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from trioworker.worker.tools.skipped import NOT_ENTERED

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAMES = 3
"""Paths that an error suggests."""
MAX_SIBLINGS = 2_000
"""Names of a folder that are compared: each takes some 20 µs."""
MAX_VISITED = 5_000
"""Entries of the workspace that are looked at for the same name, or a similar one: some 10 ms, or 100 ms."""
MIN_SIMILARITY = 0.7
MIN_SIMILARITY_ELSEWHERE = 0.85
"""The similarity of names, as difflib counts it, from which one may be a misspelling of the other."""


class Folders(Protocol):
    """The part of a workspace that is needed here; the workspace itself imports this module."""

    def open_file(self, path: str) -> int:
        """A descriptor of a file."""
        ...

    def open_directory(self, path: str) -> int:
        """A descriptor of a folder."""
        ...


def near_names(workspace: Folders, path: str) -> list[str]:
    """Existing paths near `path`, which is relative to the workspace and doesn't exist; at most `MAX_NAMES`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return []
    wanted = parts[-1].lower()
    by_name: dict[str, list[str]] = {}
    for name, path in islice(_all(workspace), MAX_VISITED):
        by_name.setdefault(name.lower(), []).append(path)
    similar = list(_similar(workspace, parts))
    exact = [path for path in similar if os.path.basename(path).lower() == wanted]
    found = [*exact, *by_name.get(wanted, []), *similar]
    if not found:
        names = difflib.get_close_matches(wanted, by_name, MAX_NAMES, MIN_SIMILARITY_ELSEWHERE)
        found = [path for name in names for path in by_name[name]]
    return list(dict.fromkeys(found))[:MAX_NAMES]


def _similar(workspace: Folders, parts: list[str]) -> Iterator[str]:
    """The path with its first missing component replaced by a similar name, where that exists."""
    missing = next((end for end in range(len(parts)) if not _exists(workspace, "/".join(parts[: end + 1]))), None)
    if missing is None:
        return
    folder = "/".join(parts[:missing])
    by_case: dict[str, str] = {}
    for name, _ in islice(_entries(workspace, folder), MAX_SIBLINGS):
        by_case.setdefault(name.lower(), name)
    for name in difflib.get_close_matches(parts[missing].lower(), by_case, MAX_NAMES, MIN_SIMILARITY):
        candidate = "/".join([*parts[:missing], by_case[name], *parts[missing + 1 :]])
        if missing == len(parts) - 1 or _exists(workspace, candidate):
            yield candidate


def _all(workspace: Folders) -> Iterator[tuple[str, str]]:
    """The names and paths of all entries, those nearest to the root first."""
    waiting = deque([""])
    while waiting:
        folder = waiting.popleft()
        for name, is_directory in _entries(workspace, folder):
            path = f"{folder}/{name}".lstrip("/")
            yield name, path
            if is_directory and name not in NOT_ENTERED:
                waiting.append(path)


def _entries(workspace: Folders, folder: str) -> Iterator[tuple[str, bool]]:
    """The names in a folder, and whether each is a folder; none if it can't be read."""
    with suppress(OSError):
        descriptor = workspace.open_directory(folder or ".")
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    yield entry.name, entry.is_dir(follow_symlinks=False)
        finally:
            os.close(descriptor)


def _exists(workspace: Folders, path: str) -> bool:
    try:
        os.close(workspace.open_file(path))
    except OSError:
        return False
    return True
