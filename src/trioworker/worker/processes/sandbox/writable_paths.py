"""Where commands may write: the workspace, temporary folders, a few devices, and what the user names.

In a container the home folder is the tools' own, and holds the caches that package managers fail without. On a desk it
is a person's, with the shell's start-up files in it, and stays closed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEVICES = tuple(map(Path, ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")))
TEMPORARY_VARIABLES = ("TMPDIR", "TEMP", "TMP")
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into each container."""


def writable(
    workspace: Path, environment: Mapping[str, str], *, state_dir: Path | None, more: Iterable[Path], contained: bool
) -> list[Path]:
    """The folders and files that commands with this environment may write at and beneath.

    `contained` says that we are in a container; `state_dir` is where the journal is kept, which closes a home that
    holds it.
    """
    named = [environment.get(name, "") for name in TEMPORARY_VARIABLES]
    paths = [workspace, Path("/tmp"), *(Path(name) for name in named if _is_a_place(name)), *more]  # noqa: S108 - the folder itself
    home = environment.get("HOME", "")
    if contained and _is_a_place(home) and not (state_dir and is_within(state_dir, [Path(home)])):
        paths.append(Path(home))
    return [*dict.fromkeys(path.resolve() for path in paths), *(Path("/dev") / name for name in DEVICES)]


def is_within(path: Path, places: Iterable[Path]) -> bool:
    """Whether `path` is one of the places or lies beneath one, links followed."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(place.resolve()) for place in places)


def in_container() -> bool:
    """Whether a container was made for us: we are its first process, or its engine left a mark."""
    return os.getpid() == 1 or "KUBERNETES_SERVICE_HOST" in os.environ or any(map(os.path.exists, CONTAINER_MARKS))


def _is_a_place(name: str) -> bool:
    """An absolute path that is not all there is."""
    return os.path.isabs(name) and os.path.realpath(name) != "/"
