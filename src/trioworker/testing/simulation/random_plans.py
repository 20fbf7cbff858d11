"""Plans of random faults, each made from a seed to fit the length of a job."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trioworker.testing.faults import Fault
from trioworker.testing.simulation.notation import REQUEST_FAULTS
from trioworker.testing.simulation.plan import Plan
from trioworker.testing.simulation.planned_faults import (
    Cancel,
    ClockJump,
    Freeze,
    Kill,
    Outage,
    Signal,
    SlowNames,
    Supersede,
    Suspend,
)
from trioworker.testing.simulation.simulate import simulate
from trioworker.worker.lifecycle import ACTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.testing.simulation.job import JobFactory
    from trioworker.testing.simulation.planned_faults import PlannedFault

TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
FINAL_STATUSES = (400, 401, 403, 404, 410, 413, 422)
DELAY = 400.0
"""Seconds by which an answer is delayed: longer than any request may take."""
LONGER = 1.25
"""A plan spans up to so many times the length of the job without faults, since faults prolong the job."""

Family = Literal["cancel", "network", "kill", "machine", "copies", "mixed"]
FAMILIES: tuple[Family, ...] = ("cancel", "network", "kill", "machine", "copies", "mixed")


@dataclass(frozen=True)
class JobSize:
    """What a job without faults takes: seconds, requests, writes to the journal, and the awaits of each actor."""

    seconds: float
    requests: int
    writes: int
    steps: tuple[int, ...]


def random_plans(job: JobFactory, seeds: Iterable[int]) -> list[Plan]:
    """One plan of random faults for each seed. The job is run once, so that the plans fit its length.

    A seed gives the same plan as long as the job's length doesn't change; the text of a plan always repeats its run.

    Args:
        job: returns the job.
        seeds: the seeds, such as `range(200)`.
    """
    run = simulate(job)
    size = JobSize(
        run.ended_at, len(run.orchestrator.exchanges), run.disk.writes, tuple(run.steps[name] for name in ACTORS)
    )
    return [plan_from(seed, size) for seed in seeds]


def plan_from(seed: int, size: JobSize) -> Plan:
    """The plan of a seed, with faults of one family or of several."""
    rng = random.Random(seed)  # noqa: S311 - to repeat runs, not for secrets
    family = FAMILIES[seed % len(FAMILIES)]
    faults: list[PlannedFault] = []
    if family in {"cancel", "mixed"}:
        faults += [_cancel(rng, size) for _ in range(rng.randint(1, 4))]
    if family in {"network", "mixed"}:
        faults += _network(rng, size)
    if family in {"kill", "copies", "mixed"} or (family == "machine" and rng.random() < 0.5):
        faults += [_kill(rng, size) for _ in range(rng.randint(1, 3))]
    if family in {"machine", "mixed"}:
        faults += [fault for fault in _machine(rng, size) if rng.random() < 0.5]
    if family == "copies" or (family == "mixed" and rng.random() < 0.3):
        faults += [Supersede(_moment(rng, size)) for _ in range(rng.randint(1, 3))]
    return Plan(seed, tuple(faults))


def _cancel(rng: random.Random, size: JobSize) -> Cancel:
    number = rng.randrange(len(ACTORS))
    return Cancel(ACTORS[number], _number(rng, size.steps[number]))


def _kill(rng: random.Random, size: JobSize) -> Kill:
    return Kill(_number(rng, size.writes), rng.choice((0, 0, 50, 99, 100)), rng.random() < 0.5)


def _machine(rng: random.Random, size: JobSize) -> list[PlannedFault]:
    """What a machine does to a process: one fault of each kind."""
    return [
        SlowNames(_moment(rng, size), rng.choice((5.0, 30.0))),
        Signal(_moment(rng, size)),
        Freeze(_moment(rng, size), rng.choice((1.0, 5.0, 20.0, 40.0, 700.0))),
        ClockJump(_moment(rng, size), rng.choice((-1e9, -3600.0, 3600.0, 1e9))),
        Suspend(_moment(rng, size)),
    ]


def _network(rng: random.Random, size: JobSize) -> list[PlannedFault]:
    faults: list[PlannedFault] = []
    if rng.random() < 0.3:
        faults.append(Outage(_moment(rng, size), 60.0))
    return [*faults, *(_request_fault(rng, size) for _ in range(rng.randint(1, 12)))]


def _request_fault(rng: random.Random, size: JobSize) -> Fault:
    kind = rng.choice(REQUEST_FAULTS)
    statuses = FINAL_STATUSES if rng.random() < 0.1 else TRANSIENT_STATUSES
    number, code = _number(rng, size.requests), rng.choice(statuses)
    match kind:
        case "status":
            return Fault.status(code, request=number)
        case "delay":
            return Fault.delay(DELAY, request=number)
        case _:
            return Fault(kind=kind, request=number)


def _number(rng: random.Random, count: int) -> int:
    return rng.randrange(max(1, round(count * LONGER)))


def _moment(rng: random.Random, size: JobSize) -> float:
    return round(rng.uniform(0, size.seconds * LONGER), 1)
