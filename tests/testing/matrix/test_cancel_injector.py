"""The instrument that counts the steps of groups of tasks, and cancels the groups."""

from __future__ import annotations

from collections import Counter

import trio
from trio.testing import MockClock

from trioworker.testing.matrix.cancel_injector import CancelInjector
from trioworker.testing.matrix.internals import takes_reason
from trioworker.testing.steps import actor_of


async def child() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)
        await trio.sleep(1)


async def run_actor(name: str = "actor") -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child, name=name)
        nursery.start_soon(child, name="other")


def names_of(task: trio.lowlevel.Task) -> list[str]:
    return ["actor"] if actor_of(task, ["actor"]) == "actor" else []


def run(injector: CancelInjector) -> None:
    trio.run(run_actor, clock=MockClock(autojump_threshold=0), instruments=[injector])


def test_steps_of_children_count_and_continue_over_runs() -> None:
    steps = Counter[str]()
    for runs in (1, 2):
        run(CancelInjector([], names_of=names_of, cancel=lambda _name, _task: True, steps=steps))
        assert steps == {"actor": 3 * runs}


def test_cancel_is_called_at_the_planned_number_and_counted_if_made() -> None:
    calls: list[str] = []

    def cancel(name: str, _: trio.lowlevel.Task) -> bool:
        calls.append(name)
        return len(calls) == 1

    injector = CancelInjector([("actor", 0), ("actor", 2)], names_of=names_of, cancel=cancel)
    run(injector)
    assert calls == ["actor", "actor"]
    assert injector.cancelled == {"actor": 1}


def test_runaway_is_noticed_once() -> None:
    calls: list[None] = []
    injector = CancelInjector(
        [], names_of=lambda _: (), cancel=lambda _name, _task: None, limit=3, on_runaway=lambda: calls.append(None)
    )
    run(injector)
    assert injector.runaway
    assert len(calls) == 1


def test_exception_of_a_function_is_kept() -> None:
    def fail(_: trio.lowlevel.Task) -> list[str]:
        raise ValueError

    injector = CancelInjector([], names_of=fail, cancel=lambda _name, _task: None)
    run(injector)
    assert isinstance(injector.error, ValueError)


def test_reason_is_passed_if_cancel_takes_one() -> None:
    def with_reason(*, reason: str | None = None) -> None: ...

    def without() -> None: ...

    assert takes_reason(with_reason)
    assert not takes_reason(without)
