"""The faults of a plan, except those of requests (`trioworker.testing.Fault`)."""

from __future__ import annotations

from dataclasses import dataclass

from trioworker.testing.faults import Fault
from trioworker.worker.lifecycle import ACTORS


@dataclass(frozen=True)
class Cancel:
    """An actor is cancelled.

    Attributes:
        actor: `prompt-poller`, `reasoner`, `tool-executor` or `event-shipper`.
        step: at which of its awaits, counted from 0 over all its incarnations and all processes.

    Raises:
        ValueError: no actor has that name.
    """

    actor: str
    step: int

    def __post_init__(self) -> None:
        if self.actor not in ACTORS:
            raise ValueError(f"no actor is named {self.actor!r}; the actors are {', '.join(ACTORS)}")


@dataclass(frozen=True)
class Outage:
    """Every connection is refused for a while.

    Attributes:
        at: seconds after the start of the job.
        seconds: how long the outage lasts.
    """

    at: float
    seconds: float


@dataclass(frozen=True)
class Kill:
    """The process is killed during a write to its journal, and another one resumes the job.

    Attributes:
        write: the number of the write, from 0 over the whole run.
        percent: the share of its bytes that is written before the kill.
        power: whether the machine fails, too: unsynced data is lost.
    """

    write: int
    percent: int = 100
    power: bool = False


@dataclass(frozen=True)
class SlowNames:
    """A name server is down: each request waits 5 s for a lookup before it is sent.

    Attributes:
        at: seconds after the start of the job.
        seconds: how long it is down.
    """

    at: float
    seconds: float


@dataclass(frozen=True)
class Signal:
    """The process that runs at that time, if any, gets SIGTERM.

    Attributes:
        at: seconds after the start of the job.
    """

    at: float


@dataclass(frozen=True)
class Freeze:
    """The process is frozen for a while: it notices all deadlines and events late.

    The virtual clock jumps, so everything is late at once, which is harder to handle than a real freeze.

    Attributes:
        at: seconds after the start of the job.
        seconds: how long the process is frozen.
    """

    at: float
    seconds: float


@dataclass(frozen=True)
class ClockJump:
    """The wall clock is set.

    Attributes:
        at: seconds after the start of the job.
        seconds: how far forward; negative to set it back.
    """

    at: float
    seconds: float


@dataclass(frozen=True)
class Supersede:
    """Another start of the worker takes over the job and disappears; the next start resumes the job.

    Attributes:
        at: seconds after the start of the job.
    """

    at: float


@dataclass(frozen=True)
class Suspend:
    """The process that runs at that time, if any, is suspended (`--on-sigterm suspend`); the next one resumes the job.

    Attributes:
        at: seconds after the start of the job.
    """

    at: float


TimedFault = Signal | Freeze | Supersede | Suspend
"""Faults that a task of the simulation causes at a given time."""
PlannedFault = Fault | Cancel | Outage | Kill | SlowNames | ClockJump | TimedFault
