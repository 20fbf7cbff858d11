"""Random plans, and the shrinking of those that fail."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from trioworker.testing.matrix.plan import CancelPlan, PlannedCancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_CANCELS = 3
"""Cancels of a random plan with named scopes; a run ends after the first cancel of its whole body."""


def random_plans(count: int, checkpoints: Mapping[str, int], *, several: bool) -> Iterator[CancelPlan]:
    """Plans with the seeds 1 to `count`, most of them with one or several cancels at random checkpoints."""
    names = sorted(name for name, number in checkpoints.items() if number)
    for seed in range(1, count + 1):
        rng = random.Random(seed)  # noqa: S311 - a seed has to repeat the plan
        cancels: set[PlannedCancel] = set()
        wanted = rng.randint(0, MAX_CANCELS)
        for _ in range(wanted if several else min(1, wanted)):
            name = rng.choice(names)
            cancels.add(PlannedCancel(name, rng.randrange(checkpoints[name])))
        yield CancelPlan(seed, tuple(sorted(cancels)))


def shrink(plan: CancelPlan, fails: Callable[[CancelPlan], bool]) -> CancelPlan:
    """Find a simpler plan that fails: as few cancels as possible, and the scheduling of seed 0."""
    for simpler in _simpler(plan):
        if fails(simpler):
            return shrink(simpler, fails)
    return plan


def _simpler(plan: CancelPlan) -> Iterator[CancelPlan]:
    for cancel in plan.cancels:
        yield CancelPlan(plan.seed, tuple(other for other in plan.cancels if other != cancel))
    if plan.seed:
        yield CancelPlan(0, plan.cancels)
