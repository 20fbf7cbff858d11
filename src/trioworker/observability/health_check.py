"""Asking a worker how it is, from another process: `trioworker health`, for a container's health check.

The check is started every few seconds for as long as the job runs, so it imports no trio: a plain socket does.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

HEALTHY, UNHEALTHY = 0, 1

MAX_SOCKET_PATH_BYTES = 107
"""A Unix socket's path: `sun_path` has 108 bytes, the last of which is a zero (unix(7))."""
PATIENCE = 5.0
"""Seconds until a worker that does not answer counts as hung; its loop is never away for that long."""
MAX_ANSWER_BYTES = 64 * 1024
"""More than a worker ever says, so what says more is none."""

State = Literal["starting", "working", "waiting for model", "running tool", "shutting down"]


class ActorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """An actor: `waiting`, `running`, `ended` or `failed`, and how often it was started again."""

    state: str
    restarts: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is; never what was said, and never a secret.

    `tools` are the names of those that run now; `idle` is the seconds since the last progress, which is whatever the
    job keeps: an iteration, a reply of the model, a tool's begin or end, a prompt, an event that was accepted.
    """

    state: State
    job_id: str
    iteration: int
    idle: float
    tools: tuple[str, ...] = ()
    actors: dict[str, ActorHealth] = {}


class _UnhealthyError(Exception):
    """Why a worker counts as unhealthy."""


def check_health(path: Path, max_idle: float | None) -> int:
    """Print what the worker at the socket says, in one line; 0 if it is well.

    It is not when it does not answer, or made no progress for more than `max_idle` seconds; stderr tells why.
    """
    try:
        line = _asked(path)
        health = _understood(line, path)
        with suppress(OSError):  # that nobody reads it is no illness
            print(line.decode().strip(), flush=True)
        if max_idle is not None and health.idle > max_idle:
            raise _UnhealthyError(f"no progress for {health.idle:.0f} s, over --max-idle {max_idle:g}")
    except _UnhealthyError as reason:
        sys.stderr.write(f"trioworker: {reason}\n")
        return UNHEALTHY
    return HEALTHY


def _asked(path: Path) -> bytes:
    until = time.monotonic() + PATIENCE
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(str(path))
            while len(answer) <= MAX_ANSWER_BYTES:
                asking.settimeout(max(0.001, until - time.monotonic()))
                part = asking.recv(MAX_ANSWER_BYTES)
                if not part:
                    break
                answer += part
    except TimeoutError as error:
        raise _UnhealthyError(f"the worker at {path} did not answer within {PATIENCE:g} s") from error
    except OSError as error:
        raise _UnhealthyError(f"no worker answers at {path}: {error.strerror}; does one run there?") from error
    return answer


def _understood(line: bytes, path: Path) -> Health:
    try:
        return msgspec.json.decode(line, type=Health)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _UnhealthyError(f"what answers at {path} is no worker of this version") from error
