"""The interface of engines, which start a worker for a job and return how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED
from trioworker.protocol.odd_replies import INVALID

if TYPE_CHECKING:
    import trio

    from trioworker.fleet.jobs import FleetJob


REPORTED = (SUCCEEDED, FAILED, STOPPED)
"""Exit codes of a worker whose report the orchestrator has accepted."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker ended. Without an `exit_code` it was lost: it was killed, its node died, or it never started.

    `count` is the number of workers that were started, which may be several for one call of `run`. `is_last` is whether
    the engine has used up the attempts; None: it doesn't count them, so the scheduler does. `had_predecessors`: workers
    unknown to the scheduler ran before this one, and may have reported the job. The tokens are those of the whole job.
    """

    exit_code: int | None
    status: str | None = None
    success: bool | None = None
    message: str | None = None
    node: str | None = None
    count: int = 1
    is_last: bool | None = None
    had_predecessors: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None


class NotStartedError(Exception):
    """A job can't be started now, for the reason in the message. It has no result, so that a rerun tries it again."""


class Engine(Protocol):
    """Starts workers."""

    name: str
    stop_timeout: float
    """Seconds from the cancelling of a fleet to its end: workers that are still running then are left behind."""

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """Run a worker for `job` to its end.

        When `stopping` is set, the worker gets SIGTERM, and SIGKILL if it doesn't end in time. A cancel kills it at
        once.

        Raises:
            NotStartedError: no worker can be started for the job.
            ConfigError: no worker can be started for any job.
        """
        ...

    def left_behind(self) -> str | None:
        """What may still be running if the fleet ends now, where, and how to continue or remove it; None: nothing."""
        ...


class _Outcome(msgspec.Struct, frozen=True):
    """The fields of a worker's outcome, its line of JSON on stdout, that are used here."""

    status: str
    success: bool
    message: str


_decoder = msgspec.json.Decoder(_Outcome)


def attempt_from_exit(code: int, out: bytes, err: bytes, node: str | None) -> Attempt:
    """Make an attempt from a worker's exit code, or the negative number of a signal, and the end of its output.

    A code in `REPORTED` without an outcome on stdout is that of a crash, such as Python's 1.
    """
    outcome: dict[str, Any] = {}
    for line in reversed(out.splitlines()):
        try:
            outcome = msgspec.structs.asdict(_decoder.decode(line))
        except INVALID:
            continue
        break
    is_reported = code >= 0 and (bool(outcome) or code not in REPORTED)
    if not outcome:
        last = next((line for line in reversed(err.splitlines()) if line.strip()), b"")
        outcome = {"message": last.decode(errors="replace").removeprefix("trioworker: ")[:500] or None}
    if code not in REPORTED:
        # It may have crashed before the orchestrator had its report.
        outcome = {"message": outcome["message"]}
    if code < 0:
        outcome["message"] = f"the worker was killed by signal {-code}"
    return Attempt(exit_code=code if is_reported else None, node=node, **outcome)
