"""Plans: a seed and a few faults, written as one line, from which a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from trioworker.testing.faults import FaultKind

FaultT = TypeVar("FaultT", bound="PlannedFault")

ACTORS = ("prompt-poller", "reasoner", "tool-executor", "event-shipper")
FAULT_KINDS: tuple[FaultKind, ...] = (
    "refused",
    "status",
    "reset-before",
    "reset-after",
    "cut",
    "delay",
    "garbage",
)
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
FINAL_STATUSES = (400, 401, 403, 404, 410, 413, 422)


@dataclass(frozen=True)
class Cancel:
    """Cancel an actor at its `step`th await, counted from 0 over all its incarnations and all processes."""

    actor: str
    step: int

    def __str__(self) -> str:
        return f"cancel:{self.actor}:{self.step}"


@dataclass(frozen=True)
class NetworkFault:
    """A fault in one request, by its number from 0 over the whole run."""

    number: int
    kind: FaultKind
    status: int = 503

    def __str__(self) -> str:
        return f"net:{self.number}:{self.kind}:{self.status}"


@dataclass(frozen=True)
class Outage:
    """Every connection is refused for `seconds`, from `start` seconds after the start of the job."""

    start: int
    seconds: int

    def __str__(self) -> str:
        return f"outage:{self.start}:{self.seconds}"


@dataclass(frozen=True)
class Kill:
    """The process is killed within one write to the journal, by its number from 0, after `percent` of its bytes.

    With `power`, the machine fails too: what was not synced is lost.
    """

    write: int
    percent: int
    power: bool

    def __str__(self) -> str:
        return f"kill:{self.write}:{self.percent}:{int(self.power)}"


@dataclass(frozen=True)
class SlowNames:
    """A dead name server: in `seconds` from `at` on, each request waits for a look-up before it is sent."""

    at: float
    seconds: float

    def __str__(self) -> str:
        return f"names:{self.at}:{self.seconds}"


@dataclass(frozen=True)
class Signal:
    """The process gets SIGTERM at a time after the start of the job, if one runs then."""

    at: float

    def __str__(self) -> str:
        return f"signal:{self.at}"


@dataclass(frozen=True)
class Freeze:
    """The process is frozen for `seconds`: all its deadlines and everything that it waits for come late."""

    at: float
    seconds: float

    def __str__(self) -> str:
        return f"freeze:{self.at}:{self.seconds}"


@dataclass(frozen=True)
class ClockJump:
    """The wall clock is set forward by `seconds`, or back."""

    at: float
    seconds: float

    def __str__(self) -> str:
        return f"clock:{self.at}:{self.seconds}"


@dataclass(frozen=True)
class Supersede:
    """Another start asks for the job and is then gone, so that the next start resumes it."""

    at: float

    def __str__(self) -> str:
        return f"supersede:{self.at}"


TimedFault = Signal | Freeze | Supersede
PlannedFault = Cancel | NetworkFault | Outage | Kill | SlowNames | ClockJump | TimedFault
Family = Literal["cancel", "network", "kill", "machine", "copies", "mixed"]


@dataclass(frozen=True)
class Plan:
    """A run of the reference job: the seed of everything random, and the faults."""

    seed: int
    faults: tuple[PlannedFault, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join([str(self.seed), *map(str, self.faults)])

    def of(self, *kinds: type[PlannedFault]) -> bool:
        """Whether the plan has a fault of one of these kinds."""
        return any(isinstance(fault, kinds) for fault in self.faults)

    def all_of(self, *kinds: type[FaultT]) -> list[FaultT]:
        """The faults of these kinds."""
        return [fault for fault in self.faults if isinstance(fault, kinds)]


def parse_plan(line: str) -> Plan:
    """Parse a plan as `str` formats it."""
    seed, *faults = line.split()
    return Plan(int(seed), tuple(map(_parse_fault, faults)))


def _parse_fault(text: str) -> PlannedFault:
    match text.split(":"):
        case ["cancel", actor, step]:
            return Cancel(actor, int(step))
        case ["net", number, kind, status]:
            return NetworkFault(int(number), next(known for known in FAULT_KINDS if known == kind), int(status))
        case ["outage", start, seconds]:
            return Outage(int(start), int(seconds))
        case ["kill", write, percent, power]:
            return Kill(int(write), int(percent), bool(int(power)))
        case ["names", at, seconds]:
            return SlowNames(float(at), float(seconds))
        case ["signal", at]:
            return Signal(float(at))
        case ["freeze", at, seconds]:
            return Freeze(float(at), float(seconds))
        case ["clock", at, seconds]:
            return ClockJump(float(at), float(seconds))
        case ["supersede", at]:
            return Supersede(float(at))
        case _:
            raise ValueError(f"not a fault: {text}")


FAMILIES: tuple[Family, ...] = ("cancel", "network", "kill", "machine", "copies", "mixed")


def plan_from(seed: int) -> Plan:
    """The plan of a seed: faults of one family, or of all of them."""
    rng = random.Random(seed)
    family = FAMILIES[seed % len(FAMILIES)]
    faults: list[PlannedFault] = []
    if family in {"cancel", "mixed"}:
        faults += [Cancel(rng.choice(ACTORS), rng.randrange(120)) for _ in range(rng.randint(1, 4))]
    if family in {"network", "mixed"}:
        faults += _network(rng, rng.randint(1, 12))
    if family in {"kill", "copies", "mixed"} or (family == "machine" and rng.random() < 0.5):
        faults += [
            Kill(rng.randrange(120), rng.choice((0, 0, 50, 99, 100)), rng.random() < 0.5)
            for _ in range(rng.randint(1, 3))
        ]
    if family in {"machine", "mixed"}:
        faults += [fault for fault in _machine(rng) if rng.random() < 0.5]
    if family == "copies" or (family == "mixed" and rng.random() < 0.3):
        faults += [Supersede(_moment(rng)) for _ in range(rng.randint(1, 3))]
    return Plan(seed, tuple(faults))


def _machine(rng: random.Random) -> list[PlannedFault]:
    """What a machine does to a process: one fault of each kind."""
    return [
        SlowNames(_moment(rng), rng.choice((5.0, 30.0))),
        Signal(_moment(rng)),
        Freeze(_moment(rng), rng.choice((1.0, 5.0, 20.0, 40.0, 700.0))),
        ClockJump(_moment(rng), rng.choice((-1e9, -3600.0, 3600.0, 1e9))),
    ]


def _moment(rng: random.Random) -> float:
    """A time within the reference job, which takes 24 s without faults."""
    return rng.randrange(300) / 10


def _network(rng: random.Random, count: int) -> list[PlannedFault]:
    faults: list[PlannedFault] = []
    if rng.random() < 0.3:
        faults.append(Outage(rng.randint(3, 40), 60))
    for _ in range(count):
        kind = rng.choice(FAULT_KINDS)
        statuses = FINAL_STATUSES if rng.random() < 0.1 else TRANSIENT_STATUSES
        faults.append(NetworkFault(rng.randrange(120), kind, rng.choice(statuses)))
    return faults
