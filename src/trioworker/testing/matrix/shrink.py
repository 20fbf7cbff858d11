"""Random plans, and the shortest plan that fails as one of them did."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from trioworker.testing.matrix.plan import Cancel, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_CANCELS = 3
"""Cancels of a random plan, where a run survives more than one: in named scopes."""


def random_plans(count: int, checkpoints: Mapping[str, int], *, several: bool) -> Iterator[Plan]:
    """Plans with the seeds 1 to `count`: other scheduling, and mostly one or several cancels at random checkpoints."""
    names = sorted(name for name, number in checkpoints.items() if number)
    for seed in range(1, count + 1):
        rng = random.Random(seed)  # noqa: S311
        cancels: set[Cancel] = set()
        wanted = rng.randint(0, MAX_CANCELS)
        for _ in range(wanted if several else min(1, wanted)):
            name = rng.choice(names)
            cancels.add(Cancel(name, rng.randrange(checkpoints[name])))
        yield Plan(seed, tuple(sorted(cancels)))


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Find a simpler plan that fails: as few cancels as possible, and the scheduling of seed 0."""
    for simpler in _simpler(plan):
        if fails(simpler):
            return shrink(simpler, fails)
    return plan


def _simpler(plan: Plan) -> Iterator[Plan]:
    for cancel in plan.cancels:
        yield Plan(plan.seed, tuple(other for other in plan.cancels if other != cancel))
    if plan.seed:
        yield Plan(0, plan.cancels)
