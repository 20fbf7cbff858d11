"""Moves cache folders that commands can't write to below the temporary folder.

On a workstation, the sandbox protects the home folder, and in a container, it may belong to another user. Without a
cache, npm and `pip install --user` fail, and matplotlib rebuilds its font list at each start.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CACHES = {
    "XDG_CACHE_HOME": ".cache",
    "npm_config_cache": ".npm",
    "MPLCONFIGDIR": ".config/matplotlib",
}
"""Variables, and the folders below HOME that are their defaults. These are moved even if they exist."""
_DATA = {
    "PYTHONUSERBASE": ".local/lib",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}
"""The same for folders that programs also read. These are moved only if they don't exist, since content would be lost.

Python's user folder is the parent of the `lib` with its packages.
"""


def with_writable_caches(environment: Mapping[str, str], is_writable: Callable[[Path], bool]) -> dict[str, str]:
    """The environment, with folders that can be written to.

    `is_writable` says whether the sandbox lets commands write to a path. A folder that a variable already names is
    moved only if it is a cache.
    """
    home = Path(environment.get("HOME", "/"))
    moved: list[str] = []
    for name, default in {**_CACHES, **_DATA}.items():
        given = environment.get(name) or environment.get(name.upper())
        if given and name in _DATA:
            continue
        folder = Path(given) if given else home / default
        if not _can_be_written(folder, is_writable) and (name in _CACHES or not os.path.exists(folder)):
            moved.append(name)
    changed = dict(environment)
    base = _private_folder(Path(environment.get("TMPDIR") or "/tmp")) if moved else None  # noqa: S108 - the folder itself
    if base is None:
        return changed
    for name in moved:
        changed.pop(name.upper(), None)
        changed[name] = str(base / name.lower())
    if "PYTHONUSERBASE" in moved:
        # The programs that `pip install --user` installs.
        changed["PATH"] = os.pathsep.join(filter(None, (changed.get("PATH"), f"{changed['PYTHONUSERBASE']}/bin")))
    return changed


def _can_be_written(folder: Path, is_writable: Callable[[Path], bool]) -> bool:
    """Whether files can be created in a folder, or the folder itself where it doesn't exist."""
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) and is_writable(existing)


def _private_folder(temporary: Path) -> Path | None:
    """A folder that belongs only to this user, shared by the user's jobs; None if none can be created.

    Another user may have taken its name.
    """
    folder = temporary / f"trioworker-cache-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="trioworker-cache-", dir=temporary))
    except OSError:
        return None
