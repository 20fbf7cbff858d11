"""Runs many plans on all cores, and shrinks those that fail."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from chaos.harness import run_plan
from chaos.invariants import violations
from chaos.plan import ACTORS, Cancel, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

CHUNK = 8
"""Plans that a process takes at once."""


def check(plan: Plan) -> list[str]:
    """Run a plan; what does not hold, a crash of the worker included."""
    try:
        return violations(run_plan(plan))
    except Exception as error:
        return [f"crashed: {''.join(traceback.format_exception(error))}"]


def check_all(plans: Iterable[Plan]) -> Iterator[tuple[Plan, list[str]]]:
    """Run plans side by side, and give each with what did not hold."""
    context = multiprocessing.get_context("forkserver")
    with _untraced(), ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_be_quiet) as pool:
        plans = list(plans)
        yield from zip(plans, pool.map(check, plans, chunksize=CHUNK), strict=True)


@contextmanager
def _untraced() -> Generator[None]:
    """Keep a coverage measurement out of the processes: it would take three times as long and cover nothing new."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    try:
        yield
    finally:
        os.environ.update(kept)


def _be_quiet() -> None:
    logger.remove()


def cancel_matrix() -> list[Plan]:
    """A plan for each await of each actor in the undisturbed job: cancelled right there."""
    steps = run_plan(Plan(0)).steps
    return [Plan(0, (Cancel(actor, step),)) for actor in ACTORS for step in range(steps[actor])]


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The plan with the fewest attacks that still fails, as far as leaving one out at a time finds it."""
    left = list(plan.attacks)
    for attack in plan.attacks:
        fewer = [other for other in left if other is not attack]
        if fails(Plan(plan.seed, tuple(fewer))):
            left = fewer
    return Plan(plan.seed, tuple(left))
