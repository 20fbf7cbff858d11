"""The paths that commands may write to: the workspace, temporary folders, a few devices, and what the user allows.

In a container, the home folder belongs to the tools and holds the caches of package managers, so it is writable. On a
desktop it belongs to a person and contains shell start-up files, so it is not.
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
"""Files that Docker and Podman create in each container."""


def writable_paths(
    workspace: Path, environment: Mapping[str, str], *, state_dir: Path | None, more: Iterable[Path], contained: bool
) -> list[Path]:
    """The files and folders, with all below, that commands with this environment may write to.

    `contained`: the worker runs in a container. A home folder that contains the journal's `state_dir` is not writable.
    """
    named = [environment.get(name, "") for name in TEMPORARY_VARIABLES]
    paths = [workspace, Path("/tmp"), *(Path(name) for name in named if _is_usable(name)), *more]  # noqa: S108 - the folder itself
    home = environment.get("HOME", "")
    if contained and _is_usable(home) and not (state_dir and is_within(state_dir, [Path(home)])):
        paths.append(Path(home))
    return [*dict.fromkeys(path.resolve() for path in paths), *(Path("/dev") / name for name in DEVICES)]


def is_within(path: Path, places: Iterable[Path]) -> bool:
    """Whether `path` is one of `places` or below one, with symlinks resolved."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(place.resolve()) for place in places)


def in_container() -> bool:
    """Whether this process runs in a container: it is the first process, or the engine's files are there."""
    return os.getpid() == 1 or "KUBERNETES_SERVICE_HOST" in os.environ or any(map(os.path.exists, CONTAINER_MARKS))


def _is_usable(name: str) -> bool:
    """Whether it is an absolute path other than the root."""
    return os.path.isabs(name) and os.path.realpath(name) != "/"
