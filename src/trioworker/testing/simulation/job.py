"""The job that a simulation runs, and the observable results of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.script import Turn
    from trioworker.testing.simulation.disk import Disk
    from trioworker.testing.simulation.plan import Plan
    from trioworker.testing.simulation.planned_faults import TimedFault
    from trioworker.testing.simulation.recorded_tools import ToolRun
    from trioworker.testing.simulation.world import PersistentWorld
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.outcome import JobOutcome
    from trioworker.worker.tools.base import AnyTool


@dataclass(frozen=True)
class SimulatedJob:
    """A job, its model and its tools. A function without arguments returns a new `SimulatedJob` for each run.

    Everything happens in virtual time, so the tools must be simulated, too: no processes, threads, sockets or files.
    If a process is killed, the next process of the run uses the same tools, just as it has the same outside world.
    Without faults, the job must succeed.

    Attributes:
        script: the model's replies: `call("measure")`, `say("The job is complete.")`.
        tools: the tools, instead of the built-in ones.
        follow_ups: prompts for the running job, by the number of seconds after its start.
        config: fields of `WorkerConfig`, such as `{"max_iterations": 9}`.
        answer: the message with which a successful job must end; if None, it isn't checked.
        invariant: is called by `assert_invariants` with the run, and raises AssertionError if something is wrong.
    """

    script: Sequence[Turn]
    tools: Sequence[AnyTool] = ()
    follow_ups: Mapping[float, str] = field(default_factory=dict[float, str])
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    answer: str | None = None
    invariant: Callable[[SimulatedRun], object] | None = None


JobFactory = Callable[[], SimulatedJob]


@dataclass(kw_only=True)
class SimulatedRun:
    """A run of a job, in one or more processes. All times are seconds after the start of the job.

    Attributes:
        job: the job.
        plan: the seed and the faults.
        repeat: the line that repeats the run.
        config: the configuration of the worker.
        orchestrator: the orchestrator, with its `events`, `reports` and `exchanges`.
        disk: the journal.
        tool_runs: the runs of tools, in the order in which they started.
        outcome: the outcome that the last process returned, None if it failed.
        error: the message of the error with which the last process failed, empty if it didn't.
        starts: how many processes were started.
        ended_at: when the last process ended.
        steps: the number of awaits of each actor.
        cancelled: how often each actor was cancelled by the plan.
        restarts: how often each actor was restarted.
        fired: the signals, freezes and supersessions that happened.
        signalled_at: when the last signal came, None if none did.
        signalled_in_vain: whether a signal came after a report was sent that a fault kept from arriving.
        was_signalled_last: whether the last process got a signal.
        frozen_at_the_end: whether a process was frozen while it ended.
        runaway: what had no end; empty if every process ended.
        tasks_left: how many tasks the last process left running.
    """

    job: SimulatedJob
    plan: Plan
    repeat: str
    config: WorkerConfig
    orchestrator: PersistentWorld
    disk: Disk
    tool_runs: list[ToolRun]
    outcome: JobOutcome | None = None
    error: str = ""
    starts: int = 0
    ended_at: float = 0.0
    steps: Counter[str] = field(default_factory=Counter[str])
    cancelled: Counter[str] = field(default_factory=Counter[str])
    restarts: Counter[str] = field(default_factory=Counter[str])
    fired: list[TimedFault] = field(default_factory=list["TimedFault"])
    signalled_at: float | None = None
    signalled_in_vain: bool = False
    was_signalled_last: bool = False
    frozen_at_the_end: bool = False
    runaway: str = ""
    tasks_left: int = 0
