"""Clones a git repository that may be hostile: no hooks, no questions, a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trioworker.fleet.engine import NotStartedError
from trioworker.protocol.control_characters import escape_line
from trioworker.protocol.url_passwords import hide_url_passwords

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.fleet.tasks import Repository

CLONE_TIMEOUT = 600.0
"""Seconds for a clone and for its checkout, each."""
MAX_ERROR_BYTES = 4096
MAX_REASON = 300
REPOSITORY_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_NAMESPACE", "GIT_ASKPASS"),
)
"""Variables that are set inside a hook, for example, and would redirect the commands, or ask a question."""
CONFIG = (
    # A user's template for new repositories may have hooks.
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "advice.detachedHead=false"),
)


async def clone(source: Repository, target: Path) -> None:
    """Clone the repository into `target`, which doesn't exist, and check its revision out.

    Raises:
        NotStartedError: it can't be cloned, or lacks the revision.
    """
    # Without hard links: a job may write to its workspace, and so would write to the source's objects.
    options = ("--quiet", "--no-hardlinks", *(() if source.revision is None else ("--no-checkout",)))
    await _git("clone", *options, "--", source.repository, str(target))
    if source.revision is not None:
        await _git("-C", str(target), "checkout", "--quiet", source.revision, "--")


async def _git(*arguments: str) -> None:
    with tempfile.TemporaryFile() as err, trio.move_on_after(CLONE_TIMEOUT) as scope:
        try:
            ended = await trio.run_process(
                ["git", *CONFIG, *arguments],
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=err,
                env=_environment(os.environ.copy()),
                # Without a terminal, ssh and credential helpers can't ask there.
                start_new_session=True,
                deliver_cancel=_kill,
            )
        except OSError as error:
            raise NotStartedError(f"git can't be run: {error.strerror}; install it") from error
        if ended.returncode:
            err.seek(max(0, err.seek(0, os.SEEK_END) - MAX_ERROR_BYTES))
            raise NotStartedError(f"git {_command(arguments)}: {_reason(err.read(), ended.returncode)}")
    if scope.cancelled_caught:
        raise NotStartedError(f"git {_command(arguments)}: not done after {CLONE_TIMEOUT:g} s")


def _environment(inherited: dict[str, str]) -> dict[str, str]:
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **{name: value for name, value in inherited.items() if name not in REPOSITORY_VARIABLES},
        "GIT_TERMINAL_PROMPT": "0",
        # Not ext::, which runs any command.
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "LC_ALL": "C",
    }


def _command(arguments: tuple[str, ...]) -> str:
    return "clone" if arguments[0] == "clone" else "checkout"


def _reason(err: bytes, code: int) -> str:
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    reason = (fatal or lines or [f"exit code {code}"])[-1].removeprefix("fatal: ").removeprefix("error: ")
    return escape_line(hide_url_passwords(reason))[:MAX_REASON]


async def _kill(process: trio.Process) -> None:
    # git's helpers, such as ssh, are in its session.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await trio.lowlevel.checkpoint()
