"""Checks the changes of several files before the first write, so that few can fail after others were made."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from trioworker.errors import ToolError
from trioworker.worker.tools.files import links_of_existing
from trioworker.worker.tools.workspace import translate_oserror

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.tools.file_changes import FileChange
    from trioworker.worker.tools.workspace import Workspace

    Place = tuple[int, int, bytes]
    """The device and inode of a file, and an empty path; or those of a folder, and the path of a new file below it."""


def check_changes(workspace: Workspace, changes: Iterable[FileChange]) -> None:
    """Check that the file system allows each change, and that no two change one file, as through a symbolic link.

    Raises:
        ToolError: otherwise.
    """
    places: dict[Place, str] = {}
    for change in changes:
        for place, shown in _places(workspace, change):
            if place in places:
                raise ToolError(f"patch: {places[place]} and {shown} are the same file; change it in one section")
            places[place] = shown
    for (device, inode, path), shown in places.items():
        folder = os.path.dirname(path)
        while folder:
            if other := places.get((device, inode, folder)):
                raise ToolError(f"patch: {other} can't be a new file and also the folder of {shown}")
            folder = os.path.dirname(folder)


def _places(workspace: Workspace, change: FileChange) -> Iterator[tuple[Place, str]]:
    """The files that a change touches, as the path that results show."""
    shown = change.shown
    if change.data is not None:
        with translate_oserror("write", shown):
            yield _written(workspace, change.path, shown), shown
    if change.after is None or change.target:
        with translate_oserror("move" if change.target else "delete", shown):
            place = _removed(workspace, change.path)
        if change.data is None:
            yield place, shown
    if change.target:
        target = workspace.shown(change.target)
        with translate_oserror("write", target):
            yield _created(workspace, change.target), target


def _written(workspace: Workspace, path: str, shown: str) -> Place:
    try:
        with workspace.parent(path) as (parent, name):
            if links_of_existing(parent, name, shown):
                return _identity(parent, name)
    except FileNotFoundError:
        pass
    return _created(workspace, path)


def _removed(workspace: Workspace, path: str) -> Place:
    with workspace.parent(path, follow=False) as (parent, name):
        _check_writable(parent)
        return _identity(parent, name)


def _created(workspace: Workspace, path: str) -> Place:
    """Where a new file will be: below the deepest of its folders that exists."""
    rest = b""
    while True:
        try:
            with workspace.parent(path) as (parent, name):
                _check_writable(parent)
                folder = os.fstat(parent)
                return folder.st_dev, folder.st_ino, os.path.join(name, rest) if rest else name
        except FileNotFoundError:
            path, name = os.path.split(path)
            if os.path.basename(path) in ("", ".", ".."):
                raise
            rest = os.path.join(os.fsencode(name), rest) if rest else os.fsencode(name)


def _identity(parent: int, name: bytes) -> Place:
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return found.st_dev, found.st_ino, b""


def _check_writable(folder: int) -> None:
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
