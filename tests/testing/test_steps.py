"""`Steps`: how many steps each actor took, and how long they were."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import trio

from support.tools import Log, Look, Probe
from trioworker import open_job
from trioworker.observability.instrument import load_instrument
from trioworker.testing import DONE, SimulatedOrchestrator, Steps, call

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from trio.testing import MockClock

HOLD = 0.02
"""Seconds for which a step holds the event loop."""


async def step(times: int) -> None:
    """Take this many steps: the last one ends the task."""
    for _ in range(times - 1):
        await trio.lowlevel.checkpoint()


async def hold() -> None:
    await trio.lowlevel.checkpoint()
    time.sleep(HOLD)  # noqa: ASYNC251 - the loop is held on purpose
    await trio.lowlevel.checkpoint()


async def family() -> None:
    """Three steps, and four of a child without a name."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(step, 4)
        await trio.lowlevel.checkpoint()


def run(*tasks: tuple[Any, ...], actors: tuple[str, ...] = ()) -> Steps:
    """Run tasks, each given as its function, its name and its arguments."""
    steps = Steps(*actors)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for function, name, *arguments in tasks:
                nursery.start_soon(function, *arguments, name=name)

    trio.run(main, instruments=[steps])
    return steps


def test_steps_are_counted_by_the_name_of_the_task() -> None:
    steps = run((step, "reader", 5), (step, "writer", 7))
    assert (steps.of("reader").count, steps.of("writer").count) == (5, 7)


def test_child_belongs_to_its_nearest_ancestor_with_a_name() -> None:
    assert run((family, "reader")).of("reader").count == 7


def test_tasks_without_a_name_belong_to_the_topmost_one_below_the_main_task() -> None:
    steps = run((family, None), (step, None, 2))
    assert steps.of(f"{__name__}.family").count == 7
    assert steps.of(f"{__name__}.step").count == 2


def test_actors_may_be_given_by_the_names_of_their_functions() -> None:
    steps = run((family, None), (step, "writer", 2), (step, None, 3), actors=("family", "writer"))
    assert (steps.of("family").count, steps.of("writer").count) == (7, 2)
    assert {one.actor for one in steps.all()} == {"family", "writer", "other"}


def test_time_for_which_the_loop_is_held_belongs_to_the_actor() -> None:
    steps = run((hold, "slow"), (step, "quick", 3))
    slow = steps.of("slow")
    assert slow.longest >= HOLD
    assert slow.seconds >= slow.longest
    assert steps.of("quick").count == 3
    assert steps.of("quick").seconds >= steps.of("quick").longest > 0


def test_actor_that_has_not_run_has_no_steps() -> None:
    nobody = run().of("nobody")
    assert (nobody.count, nobody.seconds, nobody.longest) == (0, 0.0, 0.0)


def test_table_is_printed_at_the_end_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    steps = run((step, "reader", 5))
    _, *rows = capsys.readouterr().err.splitlines()
    assert [row.split()[1] for row in rows if row.startswith("reader ")] == ["5"]
    assert len(rows) == len(steps.all())


async def test_instrument_that_is_attached_during_a_step_counts_from_the_next_one() -> None:
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(step, 3, name="reader")
        await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(steps)
    assert steps.of("reader").count == 3


async def test_steps_of_a_job_are_those_of_its_actors(workspace: Path, autojump_clock: MockClock) -> None:
    world, steps = SimulatedOrchestrator([call("probe"), DONE]), Steps()
    tools = [Probe(Log()), Look(Log())]
    async with open_job(world.config(workspace), transport=world, tools=tools, instruments=[steps]) as job:
        assert (await job.wait()).success
    assert all(steps.of(name).count > 1 for name in job.actors)


def test_steps_can_be_attached_by_the_command_line() -> None:
    assert isinstance(load_instrument("trioworker.testing:Steps"), Steps)


def test_module_of_steps_needs_only_trio() -> None:
    program = "import sys; from trioworker.testing import Steps; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("trioworker")}
    assert ours == {"trioworker", "trioworker.testing", "trioworker.testing.steps"}
