"""`trioworker health`: asks a worker for its state from another process, as the health check of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from trioworker.observability.health_client import HEALTHY, UNHEALTHY, UnhealthyError, not_a_worker, request
from trioworker.observability.notices import print_notice
from trioworker.protocol.ascii_json import ascii_json

if TYPE_CHECKING:
    from pathlib import Path

MAX_RESPONSE_BYTES = 64 * 1024
"""More than a worker ever sends; a longer response isn't from a worker."""

WorkerState = Literal["starting", "working", "waiting for model", "running tool", "shutting down"]


class ActorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an actor: `waiting`, `running`, `ended` or `failed`; and its number of restarts."""

    state: str
    restarts: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a worker, without content and secrets.

    `tools` are the names of the running tools. `idle` is the seconds since the last progress: an iteration, a reply of
    the model, the start or end of a tool, a prompt, an event that was accepted.
    """

    state: WorkerState
    job_id: str
    iteration: int
    idle: float
    tools: tuple[str, ...] = ()
    actors: dict[str, ActorHealth] = {}


def check_health(path: Path, max_idle: float | None) -> int:
    """Print the state of the worker at the socket, on one line, and return the exit code: `HEALTHY` or `UNHEALTHY`.

    A worker is unhealthy if it doesn't answer, or made no progress for more than `max_idle` seconds; stderr says why.
    """
    try:
        line = request(path, MAX_RESPONSE_BYTES)
        health = _parse(line, path)
        print(ascii_json(msgspec.json.decode(line)), flush=True)
        if max_idle is not None and health.idle > max_idle:
            raise UnhealthyError(f"no progress for {health.idle:.0f} s, over --max-idle {max_idle:g}")
    except UnhealthyError as reason:
        print_notice(str(reason))
        return UNHEALTHY
    return HEALTHY


def _parse(line: bytes, path: Path) -> Health:
    try:
        return msgspec.json.decode(line, type=Health)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_a_worker(path) from error
