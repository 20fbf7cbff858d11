"""Checks many plans on all cores, and shrinks a failing plan to the faults that matter."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from loguru import logger

from trioworker.testing.simulation.invariants import violations
from trioworker.testing.simulation.plan import Plan
from trioworker.testing.simulation.planned_faults import Cancel
from trioworker.testing.simulation.simulate import simulate
from trioworker.worker.lifecycle import ACTORS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from trioworker.testing.simulation.job import JobFactory

CHUNK = 8
"""Plans that a process gets at once."""
GC_THRESHOLD = 100_000
"""Objects between two collections of garbage: some megabytes."""


@dataclass(frozen=True)
class CheckedPlan:
    """A plan that was run.

    Attributes:
        plan: the plan.
        broken: the invariants that it broke, one line each; a crash of the worker counts as one.
    """

    plan: Plan
    broken: tuple[str, ...]


def cancel_points(job: JobFactory) -> list[Plan]:
    """One plan for each await of each actor in the job without faults; the plan cancels the actor there.

    Args:
        job: returns the job, which is run once to count the awaits.
    """
    steps = simulate(job).steps
    return [Plan(0, (Cancel(actor, step),)) for actor in ACTORS for step in range(steps[actor])]


def check_plan(job: JobFactory, plan: Plan) -> CheckedPlan:
    """Run a plan, and return the invariants that it broke."""
    try:
        return CheckedPlan(plan, tuple(violations(simulate(job, plan))))
    except Exception as error:
        return CheckedPlan(plan, (f"crashed: {''.join(traceback.format_exception(error))}",))


def check_plans(job: JobFactory, plans: Iterable[Plan]) -> Iterator[CheckedPlan]:
    """Run plans on all cores, and yield each, in order, with the invariants that it broke.

    Args:
        job: returns the job. Other processes import this function, so it must be at the top level of a module.
        plans: such as `cancel_points(job)` and `random_plans(job, range(200))`.

    Raises:
        TypeError: the processes can't import `job`.
    """
    check = partial(_check_in_process, _pickled(job))
    context = multiprocessing.get_context("forkserver")
    with _untraced(), ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_prepare_process) as pool:
        yield from pool.map(check, plans, chunksize=CHUNK)


def shrink(job: JobFactory, plan: Plan) -> Plan:
    """Remove faults one at a time while the plan still breaks an invariant.

    Args:
        job: returns the job.
        plan: a plan that breaks an invariant.
    """
    left = list(plan.faults)
    for fault in plan.faults:
        fewer = [other for other in left if other is not fault]
        if check_plan(job, Plan(plan.seed, tuple(fewer))).broken:
            left = fewer
    return Plan(plan.seed, tuple(left))


def _pickled(job: JobFactory) -> bytes:
    try:
        return pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"check_plans runs {job!r:.120} in other processes: define it at the top level of a module"
        ) from error


def _check_in_process(pickled: bytes, plan: Plan) -> CheckedPlan:
    return check_plan(_job(pickled), plan)


@cache
def _job(pickled: bytes) -> JobFactory:
    try:
        return pickle.loads(pickled)  # noqa: S301 - it comes from this program
    except (ImportError, AttributeError) as error:
        raise TypeError(f"check_plans runs the job in other processes, which can't import it: {error}") from None


@contextmanager
def _untraced() -> Generator[None]:
    """Don't measure coverage in the processes: they would take three times as long and cover nothing new."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    try:
        yield
    finally:
        os.environ.update(kept)


def _prepare_process() -> None:
    logger.remove()
    # A plan leaves little garbage, but collecting it every 700 objects takes 5 % of the time.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
