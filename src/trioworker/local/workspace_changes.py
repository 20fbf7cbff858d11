"""What a job changed in its workspace, if that is a git repository: `git diff --stat`, and the untracked files.

The job may have written the repository's configuration, and git runs programs that a configuration names: filters,
file system monitors, external diffs, transports of a partial clone. They would run outside the sandbox, as us. So git
gets an empty repository of our own, with the workspace's objects, index and files: it never reads the job's `config` or
`hooks`, nor those of submodules. Attributes in the workspace can only name filters that are then undefined.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from trioworker.local.workspace_baseline import HASH_FORMATS

if TYPE_CHECKING:
    from trioworker.local.workspace_baseline import Baseline

TIMEOUT = 2.0
"""Seconds for all of it; nothing is shown if git takes longer, as in a very large repository."""
MAX_OUTPUT = 64 * 1024
"""Bytes of git's output that are read."""
MAX_FILES = 20
"""Files that are shown, changed and new ones each."""
BIG_FILE = "16m"
"""Size from which git compares files without counting lines."""
STAT_WIDTH = 72


async def changes_since(baseline: Baseline, folder: Path, *, limit: float = TIMEOUT) -> list[str]:
    """What differs from the baseline, committed or not: git's lines, then the untracked files. Empty if unknown.

    A temporary directory is made in `folder`, which commands of a job must not be able to write to.
    """
    git = _git(baseline.root)
    if git is None:
        return []
    with trio.move_on_after(limit):
        try:
            with tempfile.TemporaryDirectory(prefix="git-", dir=folder) as directory:
                _make_repository(Path(directory), baseline)
                environment = _environment(Path(directory), baseline)
                return await _changes(git, environment, baseline)
        except OSError:
            return []
    return []


async def _changes(git: str, environment: dict[str, str], baseline: Baseline) -> list[str]:
    # Submodules have a configuration of their own, which git would read to compare them.
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "--no-renames", "--relative")
    shape = (f"--stat={STAT_WIDTH}", f"--stat-count={MAX_FILES}")
    changed = await _output(git, environment, baseline, "diff", *options, *shape, baseline.commit, "--")
    new = await _output(git, environment, baseline, "ls-files", "--others", "--exclude-standard", *_excludes(baseline))
    names = new.splitlines()
    lines = changed.splitlines() + [f" {name} (untracked)" for name in names[:MAX_FILES]]
    return [*lines, f" and {len(names) - MAX_FILES} more untracked files"] if len(names) > MAX_FILES else lines


def _excludes(baseline: Baseline) -> list[str]:
    file = baseline.common / "info" / "exclude"
    return [f"--exclude-from={file}"] if _is_file(file) else []


async def _output(git: str, environment: dict[str, str], baseline: Baseline, *arguments: str) -> str:
    """The start of what git prints; empty if it fails."""
    settings = ("-c", f"core.bigFileThreshold={BIG_FILE}", "-c", "core.quotePath=false")
    process = await trio.lowlevel.open_process(
        [git, "--no-pager", *settings, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=baseline.workspace,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    data = bytearray()
    try:
        async with process.stdout as stream:
            async for chunk in stream:
                data += chunk
                if len(data) > MAX_OUTPUT:
                    process.kill()
                    return data[: data.rindex(b"\n", 0, MAX_OUTPUT) + 1].decode("utf-8", "replace")
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    return "" if code else data.decode("utf-8", "replace")


def _git(root: Path) -> str | None:
    """The path of git, not that of a program in the workspace, such as in its virtual environment."""
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    ours = [folder for folder in folders if folder.is_absolute() and not folder.resolve().is_relative_to(root)]
    return shutil.which("git", path=os.pathsep.join(map(str, ours)))


def _make_repository(directory: Path, baseline: Baseline) -> None:
    form = HASH_FORMATS[len(baseline.commit)]
    (directory / "refs").mkdir()
    (directory / "HEAD").write_text(f"{baseline.commit}\n")
    extension = "" if form == "sha1" else f"[extensions]\n\tobjectFormat = {form}\n"
    (directory / "config").write_text(f"[core]\n\trepositoryFormatVersion = {0 if form == 'sha1' else 1}\n{extension}")


def _environment(directory: Path, baseline: Baseline) -> dict[str, str]:
    return {
        "LC_ALL": "C.UTF-8",
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_DIR": str(directory),
        "GIT_WORK_TREE": str(baseline.root),
        "GIT_INDEX_FILE": str(baseline.own / "index"),
        "GIT_OBJECT_DIRECTORY": str(baseline.common / "objects"),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
