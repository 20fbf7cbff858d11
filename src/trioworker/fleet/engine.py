"""What an engine is: something that starts a worker for a job and tells how that worker ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    import trio

    from trioworker.fleet.jobs import FleetJob


REPORTED = (SUCCEEDED, FAILED, STOPPED)
"""Exit codes that a worker ends with once the orchestrator has its report."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker ended. Without an `exit_code` it was lost: it was killed, its node died, or it never started.

    `count` is how many workers the engine itself started for it.
    """

    exit_code: int | None
    status: str | None = None
    success: bool | None = None
    message: str | None = None
    node: str | None = None
    count: int = 1


class Engine(Protocol):
    """Starts workers. `retries` tells whether it starts a worker again by itself, so that nobody else needs to."""

    name: str
    retries: bool

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """Run a worker for `job` to its end.

        When `stopping` is set it is asked to end (SIGTERM), and killed if it does not within its grace. Cancelling
        this ends the worker at once.
        """
        ...


class _Outcome(msgspec.Struct, frozen=True):
    """What is read of a worker's line of JSON on stdout."""

    status: str
    success: bool
    message: str


_decoder = msgspec.json.Decoder(_Outcome)


def attempt_of(code: int, out: bytes, err: bytes, node: str | None) -> Attempt:
    """An attempt from a worker's exit code, or minus the signal's number, and the last that it wrote.

    A code that stands for a report, without the outcome that is printed after one, is a crash's, such as Python's 1.
    """
    told: dict[str, Any] = {}
    for line in reversed(out.splitlines()):
        try:
            told = msgspec.structs.asdict(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        break
    believed = code >= 0 and (bool(told) or code not in REPORTED)
    if not told:
        last = next((line for line in reversed(err.splitlines()) if line.strip()), b"")
        told = {"message": last.decode(errors="replace").removeprefix("trioworker: ")[:500] or None}
    if code < 0:
        told["message"] = f"the worker was ended by signal {-code}"
    return Attempt(exit_code=code if believed else None, node=node, **told)
