"""Creates the workspace of a task: an empty folder, a copy of a folder, or a clone of a repository.

It is created under a temporary name beside its place, and renamed, so that a workspace that exists is always complete.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import trio

from trioworker.fleet.clone import clone
from trioworker.fleet.engine import NotStartedError
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from trioworker.fleet.tasks import Source

MAX_SLUG = 40


def folder_name(title: str, job_id: str) -> str:
    """The name of a task's own workspace: readable, and different for each job."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:MAX_SLUG].strip("-")
    return f"{slug or 'task'}-{job_id[:8]}"


def is_taken(target: Path) -> bool:
    """Whether something, even a dangling symbolic link, has the name of a workspace."""
    return os.path.lexists(target)


async def make_draft(source: Source | None, target: Path, root: Path) -> None:
    """Make the content of `target` under a temporary name, from which `publish` renames it.

    `root` has the workspaces of other tasks: if it is inside the source, it is not copied.

    Raises:
        NotStartedError: it can't be created; the message is one line.
    """
    draft = _draft(target)
    try:
        await trio.to_thread.run_sync(_remove, draft)
        await trio.to_thread.run_sync(partial(draft.parent.mkdir, parents=True, exist_ok=True))
        match source:
            case None:
                draft.mkdir()
            case Path():
                await trio.to_thread.run_sync(_copy, source, draft, root)
            case _:
                await clone(source, draft)
    except NotStartedError as error:
        failure = error
    except OSError as error:
        failure = NotStartedError(f"the workspace can't be created: {_describe(error)}")
        failure.__cause__ = error
    else:
        return
    await trio.to_thread.run_sync(_remove, draft)
    raise failure


def publish(target: Path) -> None:
    """Give the draft its name.

    Raises:
        NotStartedError: something else has that name, or the folder can't be renamed.
    """
    try:
        _draft(target).rename(target)
    except OSError as error:
        raise NotStartedError(f"the workspace can't be created: {_describe(error)}") from error


def _draft(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _remove(draft: Path) -> None:
    shutil.rmtree(draft, ignore_errors=True)


def _copy(source: Path, draft: Path, root: Path) -> None:
    """Copy a folder; symbolic links stay links. Ends when the waiting task is cancelled."""
    skipped = (root.resolve(), draft.resolve())

    def ignored(folder: str, names: list[str]) -> list[str]:
        here = Path(folder).resolve()
        return [name for name in names if here / name in skipped]

    try:
        shutil.copytree(source, draft, symlinks=True, ignore=ignored, copy_function=_copy_file)
    except shutil.Error as error:
        # Its argument is a list of (source, target, reason).
        failures = cast("list[tuple[str, str, str]]", error.args[0])
        raise OSError(failures[0][2]) from error


def _copy_file(source: str, target: str) -> None:
    trio.from_thread.check_cancelled()
    if not stat.S_ISREG(os.lstat(source).st_mode):
        raise OSError(f"{source} is a special file, which can't be copied; remove it from the source")
    shutil.copy2(source, target)


def _describe(error: OSError) -> str:
    text = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
    return escape_line(text)
