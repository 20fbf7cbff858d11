"""Runs a job under a plan, one process after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.testing.matrix.internals import is_in_run
from trioworker.testing.matrix.scheduling import restored_scheduling
from trioworker.testing.simulation.disk import Disk
from trioworker.testing.simulation.job import SimulatedJob, SimulatedRun
from trioworker.testing.simulation.plan import Plan
from trioworker.testing.simulation.planned_faults import Kill
from trioworker.testing.simulation.process import WORKSPACE, SimulatedProcess
from trioworker.testing.simulation.world import PersistentWorld
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trioworker.testing.simulation.job import JobFactory
    from trioworker.testing.simulation.planned_faults import PlannedFault

RESTART_DELAY = 2.0
"""Seconds from the kill of a process to the start of the next."""
_BUILTIN_CLASSES = frozenset(map(type, BUILTIN_TOOLS))
MAX_STARTS = 12
"""Processes of one run; no plan kills so many."""


def simulate(
    job: JobFactory, faults: Iterable[PlannedFault] | Plan | str = (), *, seed: int | None = None
) -> SimulatedRun:
    """Run a job in virtual time, in one process after another until one ends by itself.

    It starts trio itself, so call it from a synchronous test. The same job, faults and seed give the same run.

    Args:
        job: a function that returns a new job; it is called once.
        faults: the faults; or a plan; or the text of a plan, as a failure prints it.
        seed: the seed of the task order and the jitter between retries; by default the plan's, or else 0.

    Raises:
        ValueError: the text is not a plan, or a fault can't be planned.
        ConfigError: the configuration or a tool can't be used.
        TypeError: `job` is not a function that returns a `SimulatedJob`.
        RuntimeError: it was called inside `trio.run`.
    """
    if is_in_run():
        raise RuntimeError(
            "simulate starts trio itself: call it from a synchronous test, which pytest-trio doesn't run"
        )
    plan = _plan(faults, seed)
    simulated = _built(job)
    disk = Disk(plan.all_of(Kill))
    world = PersistentWorld(simulated.script, plan, disk)
    run = SimulatedRun(
        job=simulated,
        plan=plan,
        repeat=f"simulate({getattr(job, '__qualname__', 'job')}, {str(plan)!r})",
        config=world.config(WORKSPACE, **simulated.config),
        orchestrator=world,
        disk=disk,
        tool_runs=[],
    )
    with restored_scheduling():
        while run.starts < MAX_STARTS:
            run.starts += 1
            if SimulatedProcess(run).run():
                break
            world.epoch += RESTART_DELAY
            if disk.lost_power:
                world.reboot()
            disk.start_process()
    return run


def _plan(faults: Iterable[PlannedFault] | Plan | str, seed: int | None) -> Plan:
    if isinstance(faults, str):
        faults = Plan.parse(faults)
    if not isinstance(faults, Plan):
        faults = Plan(0, tuple(faults))
    return faults if seed is None else Plan(seed, faults.faults)


def _built(job: Callable[[], object]) -> SimulatedJob:
    built = job() if callable(job) else job
    if not callable(job) or not isinstance(built, SimulatedJob):
        raise TypeError(f"pass a function that returns a new SimulatedJob for each run, not {built!r:.80}")
    for tool in built.tools:
        if type(tool) in _BUILTIN_CLASSES:
            raise ConfigError(
                f"the tool {tool.name} uses real files or processes; simulate it with a tool of that name"
            )
    return built
