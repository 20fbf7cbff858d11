"""Plans: a seed and a few faults, written as one line, from which a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from support.world import FaultKind

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


PlannedFault = Cancel | NetworkFault | Outage | Kill
Family = Literal["cancel", "network", "kill", "mixed"]


@dataclass(frozen=True)
class Plan:
    """A run of the reference job: the seed of everything random, and the faults."""

    seed: int
    faults: tuple[PlannedFault, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join([str(self.seed), *map(str, self.faults)])

    def of(self, kind: type[PlannedFault]) -> bool:
        """Whether the plan has a fault of a kind."""
        return any(isinstance(fault, kind) for fault in self.faults)


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
        case _:
            raise ValueError(f"not a fault: {text}")


FAMILIES: tuple[Family, ...] = ("cancel", "network", "kill", "mixed")


def plan_from(seed: int) -> Plan:
    """The plan of a seed: faults of one family, or of all of them."""
    rng = random.Random(seed)
    family = FAMILIES[seed % len(FAMILIES)]
    faults: list[PlannedFault] = []
    if family in {"cancel", "mixed"}:
        faults += [Cancel(rng.choice(ACTORS), rng.randrange(120)) for _ in range(rng.randint(1, 4))]
    if family in {"network", "mixed"}:
        faults += _network(rng, rng.randint(1, 12))
    if family in {"kill", "mixed"}:
        faults += [
            Kill(rng.randrange(120), rng.choice((0, 0, 50, 99, 100)), rng.random() < 0.5)
            for _ in range(rng.randint(1, 3))
        ]
    return Plan(seed, tuple(faults))


def _network(rng: random.Random, count: int) -> list[PlannedFault]:
    faults: list[PlannedFault] = []
    if rng.random() < 0.3:
        faults.append(Outage(rng.randint(3, 40), 60))
    for _ in range(count):
        kind = rng.choice(FAULT_KINDS)
        statuses = FINAL_STATUSES if rng.random() < 0.1 else TRANSIENT_STATUSES
        faults.append(NetworkFault(rng.randrange(120), kind, rng.choice(statuses)))
    return faults
