"""The machine and the limits of a job, as the system message states them; determined when the job is opened."""

from __future__ import annotations

import os
import platform
import pwd
import time
from typing import TYPE_CHECKING

import msgspec

from trioworker.worker.processes.sandbox.writable_paths import in_container, writable_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.processes.sandbox.sandbox import Sandbox

NAME_BYTES = 100
"""Maximum length of the system's name, which comes from a file, in characters."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the limits of a job.

    Attributes:
        system: the operating system and the processor.
        user: the user that commands run as.
        date: the day on which the job was opened, in UTC.
        workspace: the working directory.
        writable: the folders that commands may write to; empty if they aren't confined.
        sandbox: what the sandbox enforces.
        max_iterations: maximum number of iterations.
        timeout: time limit of the job in seconds.
        token_budget: maximum number of tokens; None means no limit.
    """

    system: str
    user: str
    date: str
    workspace: str
    writable: tuple[str, ...]
    sandbox: str
    max_iterations: int
    timeout: float
    token_budget: int | None = None


def surroundings(config: WorkerConfig, sandbox: Sandbox, environment: Mapping[str, str], *, now: float) -> Surroundings:
    """The surroundings of a job whose commands get this environment; it is opened `now`, in seconds since the epoch."""
    writable = writable_paths(
        config.workspace,
        environment,
        state_dir=config.state_dir,
        more=config.allow_write or (),
        contained=in_container(),
    )
    return Surroundings(
        system=_system(),
        user=_user(),
        date=time.strftime("%Y-%m-%d", time.gmtime(now)),
        workspace=os.path.abspath(config.workspace),
        writable=tuple(str(path) for path in writable if not path.is_relative_to("/dev")) if sandbox.landlock else (),
        sandbox=sandbox.level,
        max_iterations=config.max_iterations,
        timeout=config.timeout,
        token_budget=config.token_budget,
    )


def _system() -> str:
    """The name of the distribution, or of the kernel, and the processor."""
    kernel = os.uname()
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", kernel.sysname)
    except OSError:
        name = kernel.sysname
    return f"{name[:NAME_BYTES]}, {kernel.machine}"


def _user() -> str:
    """The user's name, or number if it has none."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        return f"number {number}, without a name"
    return name
