"""Runs commands, and the errors of the container tests."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class MissingError(Exception):
    """Something that the tests need is missing; the message names the remedy."""


class CommandError(Exception):
    """A command failed, or an expected state was not reached."""


class SlowError(CommandError):
    """A command exceeded its limit."""


def output(*command: str | Path, stdin: str | None = None, limit: float | None = None) -> str:
    """The standard output of a command.

    `stdin` is its input; after `limit` seconds it is killed.

    Raises:
        CommandError: it can't be started or failed; the message has the end of its output.
        SlowError: it exceeded the limit.
    """
    name = " ".join(str(word) for word in command[:2])
    try:
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise SlowError(f"{name} took over {limit:g} s") from error
    except OSError as error:
        raise CommandError(f"{name} can't be started: {error.strerror}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CommandError(f"{name} ended with {done.returncode}: " + " | ".join(lines[-8:]))
    return done.stdout.strip()


def succeeds(*command: str | Path, stdin: str | None = None, limit: float | None = None) -> bool:
    """Whether a command succeeds, within `limit` seconds if given."""
    try:
        output(*command, stdin=stdin, limit=limit)
    except CommandError:
        return False
    return True


def seconds_of(command: Sequence[str]) -> float:
    """How long the second run of a command takes."""
    output(*command, limit=60.0)
    began = time.monotonic()
    output(*command, limit=60.0)
    return time.monotonic() - began
