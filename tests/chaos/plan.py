"""What is done to a job, written down: a plan is a seed and a few attacks, and can be repeated from one line."""

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
PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
FINAL_STATUSES = (400, 401, 403, 404, 410, 413, 422)


@dataclass(frozen=True)
class Cancel:
    """Cancel an actor at its `step`th await, counted over all its incarnations and all lives of the process."""

    actor: str
    step: int

    def __str__(self) -> str:
        return f"cancel:{self.actor}:{self.step}"


@dataclass(frozen=True)
class Disturb:
    """Disturb the `number`th request of all."""

    number: int
    kind: FaultKind
    status: int = 503

    def __str__(self) -> str:
        return f"net:{self.number}:{self.kind}:{self.status}"


@dataclass(frozen=True)
class Outage:
    """No request is accepted for `seconds` from `start` on, in seconds since the job began."""

    start: int
    seconds: int

    def __str__(self) -> str:
        return f"outage:{self.start}:{self.seconds}"


@dataclass(frozen=True)
class Kill:
    """The process dies in the `write`th write to the journal, after `percent` of its bytes.

    `power` says that the machine died with it: what was not synced is lost.
    """

    write: int
    percent: int
    power: bool

    def __str__(self) -> str:
        return f"kill:{self.write}:{self.percent}:{int(self.power)}"


Attack = Cancel | Disturb | Outage | Kill
Family = Literal["cancel", "network", "kill", "mixed"]


@dataclass(frozen=True)
class Plan:
    """A run of the reference job: the seed of everything random, and the attacks."""

    seed: int
    attacks: tuple[Attack, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join([str(self.seed), *map(str, self.attacks)])

    def of(self, kind: type[Attack]) -> bool:
        """Whether the plan has an attack of a kind."""
        return any(isinstance(attack, kind) for attack in self.attacks)


def parse_plan(line: str) -> Plan:
    """The plan that `str` wrote."""
    seed, *attacks = line.split()
    return Plan(int(seed), tuple(map(_parse_attack, attacks)))


def _parse_attack(text: str) -> Attack:
    match text.split(":"):
        case ["cancel", actor, step]:
            return Cancel(actor, int(step))
        case ["net", number, kind, status]:
            return Disturb(int(number), next(known for known in FAULT_KINDS if known == kind), int(status))
        case ["outage", start, seconds]:
            return Outage(int(start), int(seconds))
        case ["kill", write, percent, power]:
            return Kill(int(write), int(percent), bool(int(power)))
        case _:
            raise ValueError(f"no attack: {text}")


FAMILIES: tuple[Family, ...] = ("cancel", "network", "kill", "mixed")


def plan_from(seed: int) -> Plan:
    """The plan of a seed: one family of attacks, or all of them mixed."""
    rng = random.Random(seed)
    family = FAMILIES[seed % len(FAMILIES)]
    attacks: list[Attack] = []
    if family in {"cancel", "mixed"}:
        attacks += [Cancel(rng.choice(ACTORS), rng.randrange(120)) for _ in range(rng.randint(1, 4))]
    if family in {"network", "mixed"}:
        attacks += _network(rng, rng.randint(1, 12))
    if family in {"kill", "mixed"}:
        attacks += [
            Kill(rng.randrange(120), rng.choice((0, 0, 50, 99, 100)), rng.random() < 0.5)
            for _ in range(rng.randint(1, 3))
        ]
    return Plan(seed, tuple(attacks))


def _network(rng: random.Random, count: int) -> list[Attack]:
    attacks: list[Attack] = []
    if rng.random() < 0.3:
        attacks.append(Outage(rng.randint(3, 40), 60))
    for _ in range(count):
        kind = rng.choice(FAULT_KINDS)
        statuses = FINAL_STATUSES if rng.random() < 0.1 else PASSING_STATUSES
        attacks.append(Disturb(rng.randrange(120), kind, rng.choice(statuses)))
    return attacks
