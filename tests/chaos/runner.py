"""Runs many plans on all cores, and shrinks a failing plan to the faults that matter."""

from __future__ import annotations

import gc
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
"""Plans that a process is given at once."""
GC_THRESHOLD = 100_000
"""Objects between two collections of garbage: some megabytes."""


def check(plan: Plan) -> list[str]:
    """Run a plan and return the invariants that it broke; a crash of the worker is one."""
    try:
        return violations(run_plan(plan))
    except Exception as error:
        return [f"crashed: {''.join(traceback.format_exception(error))}"]


def check_all(plans: Iterable[Plan]) -> Iterator[tuple[Plan, list[str]]]:
    """Run plans concurrently, and yield each with the invariants that it broke."""
    context = multiprocessing.get_context("forkserver")
    with _untraced(), ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_prepare_process) as pool:
        plans = list(plans)
        yield from zip(plans, pool.map(check, plans, chunksize=CHUNK), strict=True)


@contextmanager
def _untraced() -> Generator[None]:
    """Don't measure coverage in the processes: it would take three times as long and cover nothing new."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    try:
        yield
    finally:
        os.environ.update(kept)


def _prepare_process() -> None:
    logger.remove()
    # A plan leaves little garbage; collecting it after each 700 objects takes a twentieth of the time.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def cancel_matrix() -> list[Plan]:
    """One plan for each await of each actor in the job without faults, which cancels the actor there."""
    steps = run_plan(Plan(0)).steps
    return [Plan(0, (Cancel(actor, step),)) for actor in ACTORS for step in range(steps[actor])]


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Remove faults one at a time while the plan still fails."""
    left = list(plan.faults)
    for fault in plan.faults:
        fewer = [other for other in left if other is not fault]
        if fails(Plan(plan.seed, tuple(fewer))):
            left = fewer
    return Plan(plan.seed, tuple(left))
