"""Builds the environment of commands, and wipes the bearer token from ours.

A command gets the variables that it inherits, settings that keep programs from asking for input, and the job's
credentials. The token is wiped from our memory before the first tool runs, including the copy in `/proc/PID/environ`.
"""

from __future__ import annotations

import os
import pwd
import re
from typing import TYPE_CHECKING

from trioworker.linux.environment_block import wipe_variables
from trioworker.linux.syscalls import forbid_inspection, permit_inspection
from trioworker.protocol.values import TOKEN_VARIABLE
from trioworker.worker.processes.git_config import git_config_entries, git_config_variables, inherited_entries
from trioworker.worker.processes.inherited_variables import inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

TOKEN_VARIABLES = (TOKEN_VARIABLE, "TRIOWORKER_TOKEN")
"""Variables that may hold the bearer token; no command gets them."""


# Git runs an editor by a shell, and shows the command of one that fails: its comment says what to do.
_NO_EDITOR = "false # no editor here: use git commit -m, or GIT_EDITOR=true to keep the text"
_NO_SEQUENCE_EDITOR = "false # no editor here: set GIT_SEQUENCE_EDITOR to a command such as sed -i SCRIPT"
UNATTENDED = {
    "CARGO_TERM_PROGRESS_WHEN": "never",
    "CI": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "EDITOR": _NO_EDITOR,
    "GIT_EDITOR": _NO_EDITOR,
    "GIT_PAGER": "cat",
    "GIT_SEQUENCE_EDITOR": _NO_SEQUENCE_EDITOR,
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_TERMINAL_PROMPT": "0",
    "MANPAGER": "cat",
    "NPM_CONFIG_YES": "true",
    "PAGER": "cat",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PYTHONUNBUFFERED": "1",
    "SYSTEMD_PAGER": "cat",
    "VISUAL": _NO_EDITOR,
    "npm_config_progress": "false",
}
"""Keeps programs from waiting for an answer, a pager or an editor, and from drawing progress bars.

An editor fails, since one that does nothing would silently keep an unfinished text. Unbuffered output is not lost at a
time-out.
"""

GIT_CONFIG = (("core.quotepath", "false"),)
"""Git shows names that aren't ASCII as they are, so that the model can use them."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of commands if ours is not set; Debian's default."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def child_environment(
    environ: Mapping[str, str],
    credentials: Mapping[str, str],
    *,
    contained: bool = False,
    pass_env: Collection[str] = (),
    holds_secret: Callable[[str], bool] = lambda _: False,
) -> dict[str, str]:
    """The environment of commands, from our environment and the job's credentials.

    Omits credentials with an invalid name or value, and those with a name of the token.

    Args:
        environ: our environment.
        credentials: those granted to the job.
        contained: whether we run in a container, where commands inherit more.
        pass_env: names of variables that commands inherit in addition; they override `UNATTENDED`.
        holds_secret: whether a value is or contains a secret.
    """
    taken = inherited(environ, contained=contained, pass_env=pass_env, holds_secret=holds_secret)
    passed = {name: value for name, value in taken.items() if name in pass_env}
    granted = {name: value for name, value in credentials.items() if _NAME.fullmatch(name) and "\0" not in value}
    entries = [
        *inherited_entries(environ, pass_env=pass_env, holds_secret=holds_secret),
        *git_config_entries(granted),
        *GIT_CONFIG,
    ]
    child = {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", **taken, **UNATTENDED, **passed, **granted}
    child |= git_config_variables(entries)
    # Container engines set HOME to "/", which is not writable, for a user without an entry in /etc/passwd.
    if child.get("HOME", "") in ("", "/"):
        child["HOME"] = _home() or child.get("TMPDIR", "/tmp")  # noqa: S108 - the last resort, not a file of ours
    for name in TOKEN_VARIABLES:
        child.pop(name, None)
    return child


def forget_token(*, attachable: bool = False) -> None:
    """Wipe the token from our environment and `/proc`, and deny other processes of this user access to our memory.

    Call it as soon as the configuration has been read. Idempotent. With `attachable`, they can read our memory.
    """
    wipe_variables(TOKEN_VARIABLES)
    if attachable:
        permit_inspection()
    else:
        forbid_inspection()


def _home() -> str | None:
    """This user's home in /etc/passwd, if it is writable."""
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return home if home != "/" and os.access(home, os.W_OK) else None
