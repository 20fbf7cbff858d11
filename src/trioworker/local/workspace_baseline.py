"""The repository that contains a workspace, and the commit that it is at. No program is run."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from trioworker.supervision.threads import run_in_thread_if_possible

if TYPE_CHECKING:
    from pathlib import Path

MAX_REFERENCES = 4 * 1024 * 1024
"""Bytes of a file with references that are read."""
HASH_FORMATS = {40: "sha1", 64: "sha256"}
"""Git's name for the hashes of a repository, by their length."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""What a repository without commits is compared with; git knows it without an object."""


class Baseline(NamedTuple):
    """A workspace's repository, and the commit that it was at."""

    workspace: Path
    root: Path
    """The top of the working tree."""
    own: Path
    """The directory of the index and HEAD: that of a linked worktree, or `common`."""
    common: Path
    """The directory of the objects and references."""
    commit: str


async def find_baseline(workspace: Path) -> Baseline | None:
    """The repository that contains the workspace, with its current commit; None if there is none that we understand."""
    try:
        return await run_in_thread_if_possible(lambda: _find_baseline(workspace))
    except OSError:
        return None


def _find_baseline(workspace: Path) -> Baseline | None:
    for root in (workspace, *workspace.parents):
        if (root / ".git").exists():
            own = _git_directory(root / ".git")
            common = _common_directory(own) if own else None
            commit = _head(own, common) if own and common else None
            return Baseline(workspace, root, own, common, commit) if own and common and commit else None
    return None


def _git_directory(path: Path) -> Path | None:
    """The repository's directory; `.git` of a linked worktree is a file that names it."""
    if path.is_dir():
        return path.resolve()
    text = _read(path)
    if not text.startswith("gitdir: "):
        return None
    directory = (path.parent / text.removeprefix("gitdir: ").strip()).resolve()
    return directory if directory.is_dir() else None


def _common_directory(own: Path) -> Path | None:
    common = (own / (_read(own / "commondir").strip() or ".")).resolve()
    return common if (common / "objects").is_dir() else None


def _head(own: Path, common: Path) -> str | None:
    """The current commit; the empty tree before the first one; None if it can't be found."""
    text = _read(own / "HEAD").strip()
    if not text.startswith("ref: "):
        return text if _is_hash(text) else None
    name = text.removeprefix("ref: ")
    # Reftables keep references elsewhere.
    if not name.startswith("refs/") or ".." in name or (common / "reftable").exists():
        return None
    loose = _read(common / name).strip()
    if loose:
        return loose if _is_hash(loose) else None
    packed = (line.split(" ") for line in _read(common / "packed-refs").splitlines())
    commit = next((words[0] for words in packed if words[1:] == [name]), EMPTY_TREE)
    return commit if _is_hash(commit) else None


def _is_hash(text: str) -> bool:
    return len(text) in HASH_FORMATS and all(each in "0123456789abcdef" for each in text)


def _read(path: Path) -> str:
    """The text of a regular file; empty if there is none. Doesn't wait for a FIFO."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(MAX_REFERENCES).decode("utf-8", "replace")
