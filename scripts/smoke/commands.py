"""How the smoke test runs commands, and its two ways to give up."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class SkippedError(Exception):
    """Something that the test needs is not here; the message names the remedy."""


class BrokenError(Exception):
    """What was to be checked did not even come about."""


class SlowError(BrokenError):
    """A command took longer than it may."""


def output(*command: str | Path, stdin: str | None = None, limit: float | None = None) -> str:
    """What a command wrote to standard output.

    `stdin` is fed to it; after `limit` seconds it is ended.

    Raises:
        BrokenError: it is not there or failed; the message holds the end of what it said.
        SlowError: it took too long.
    """
    name = " ".join(str(word) for word in command[:2])
    try:
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise SlowError(f"{name} took over {limit:g} s") from error
    except OSError as error:
        raise BrokenError(f"{name} can't be started: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise BrokenError(f"{name} ended with {done.returncode}: " + " | ".join(said[-8:]))
    return done.stdout.strip()


def works(*command: str | Path, stdin: str | None = None, limit: float | None = None) -> bool:
    """Whether a command succeeds, within `limit` seconds if given."""
    try:
        output(*command, stdin=stdin, limit=limit)
    except BrokenError:
        return False
    return True


def seconds_of(command: Sequence[str]) -> float:
    """How long a command takes, once it has run before."""
    output(*command, limit=60.0)
    began = time.monotonic()
    output(*command, limit=60.0)
    return time.monotonic() - began
