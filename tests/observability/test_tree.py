"""The task tree over the health socket: answered by the event loop, and by a thread while a computation holds the loop.

The tests of the socket run on a real clock, since a thread takes part.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from trioworker.observability.health_check import Health
from trioworker.observability.health_client import request
from trioworker.observability.health_server import serve_health
from trioworker.observability.tree_check import MAX_RESPONSE_BYTES, MAX_TASKS, Hold, TaskLine, TaskTree, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEALTH = Health(state="working", job_id="j", iteration=1, idle=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health.sock"


def read_health() -> Health:
    return HEALTH


def ask(path: Path) -> TaskTree:
    return msgspec.json.decode(request(path, MAX_RESPONSE_BYTES, tree=True), type=TaskTree)


def in_threads(*functions: Callable[[], object]) -> Callable[[], None]:
    """Start the functions in threads, and return one that waits for their end while it holds the event loop."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()

    def hold() -> None:
        while any(thread.is_alive() for thread in threads):
            pass

    return hold


def line_of(tree: TaskTree, name: str) -> TaskLine:
    (line,) = (task for task in tree.tasks if task.name == name)
    return line


async def pause() -> None:
    await trio.sleep_forever()


async def test_tree_has_tasks_with_their_actors_and_places(path: Path) -> None:
    async def actor() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pause, name="helper")
            await trio.sleep_forever()

    async with serve_health(path, read_health, ["reasoner"]), trio.open_nursery() as nursery:
        nursery.start_soon(actor, name="reasoner")
        await trio.testing.wait_all_tasks_blocked()
        tree = await trio.to_thread.run_sync(ask, path)
        nursery.cancel_scope.cancel()
    reasoner, helper = line_of(tree, "reasoner"), line_of(tree, "helper")
    assert (reasoner.actor, helper.actor, helper.depth - reasoner.depth) == ("reasoner", "reasoner", 1)
    assert reasoner.waited is not None
    assert re.fullmatch(r"(tests/)?observability/test_tree.py:\d+ pause", helper.places[0])
    assert line_of(tree, "health").running
    assert (tree.pid, tree.hold, tree.is_cut) == (os.getpid(), None, False)


async def test_tree_leaves_out_the_functions_between_the_first_and_the_last_of_a_file(path: Path) -> None:
    async def inner() -> None:
        await pause()

    async def entered() -> None:
        await inner()

    async with serve_health(path, read_health), trio.open_nursery() as nursery:
        nursery.start_soon(entered, name="deep")
        await trio.testing.wait_all_tasks_blocked()
        tree = await trio.to_thread.run_sync(ask, path)
        nursery.cancel_scope.cancel()
    first, last = line_of(tree, "deep").places
    assert first.endswith(" pause")
    assert last.endswith(".entered")


async def test_tree_names_the_computation_that_holds_the_loop(path: Path) -> None:
    trees: list[TaskTree] = []

    async def compute() -> None:
        await trio.lowlevel.checkpoint()
        in_threads(lambda: trees.append(ask(path)))()
        nursery.cancel_scope.cancel()

    async with serve_health(path, read_health, ["executor"]), trio.open_nursery() as nursery:
        nursery.start_soon(compute, name="executor")
        nursery.start_soon(pause, name="other")
    (tree,) = trees
    assert tree.hold is not None
    assert (tree.hold.task, tree.hold.actor) == ("executor", "executor")
    assert any(" test_tree_names_the_computation" in place and place.endswith(".compute") for place in tree.hold.stack)
    assert line_of(tree, "executor").running
    assert line_of(tree, "other").places
    assert line_of(tree, "other").waited is not None


async def test_health_is_not_answered_while_the_loop_is_held_but_right_after_it(path: Path) -> None:
    answered = threading.Event()
    early: list[bool] = []

    def wait_for_health() -> None:
        assert msgspec.json.decode(request(path, 1000), type=Health) == HEALTH
        answered.set()

    async with serve_health(path, read_health):
        await trio.lowlevel.checkpoint()
        client = threading.Thread(target=wait_for_health)
        client.start()
        # The tree is requested after the health, so the thread has already passed the health client on.
        in_threads(lambda: (time.sleep(0.1), ask(path), early.append(answered.is_set())))()
        await trio.to_thread.run_sync(client.join)
    assert (early, answered.is_set()) == ([False], True)


async def test_tree_is_cut_to_a_number_of_tasks(path: Path) -> None:
    async with serve_health(path, read_health), trio.open_nursery() as nursery:
        for _ in range(MAX_TASKS):
            nursery.start_soon(pause, name="n" * 10_000)
        await trio.testing.wait_all_tasks_blocked()
        response = await trio.to_thread.run_sync(lambda: request(path, MAX_RESPONSE_BYTES, tree=True))
        nursery.cancel_scope.cancel()
    tree = msgspec.json.decode(response, type=TaskTree)
    assert len(tree.tasks) == MAX_TASKS
    assert tree.is_cut
    assert len(response) < 128 * 1024


async def test_machine_that_cannot_start_threads_still_serves_tree_and_health(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    trees: list[TaskTree] = []
    await trio.to_thread.run_sync(int)  # so that a thread for the client exists
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        async with serve_health(path, read_health):
            trees.append(await trio.to_thread.run_sync(ask, path))
            assert await trio.to_thread.run_sync(request, path, 1000)
    assert trees[0].tasks


def test_a_tree_is_printed_with_branches_and_durations() -> None:
    tasks = (
        TaskLine(depth=0, name="main", waited=0.4, places=("a.py:1 main",)),
        TaskLine(depth=1, name="reasoner", actor="reasoner", waited=75.0, places=("b.py:2 inner", "b.py:3 outer")),
        TaskLine(depth=2, name="helper", actor="reasoner", waited=None),
        TaskLine(depth=1),
        TaskLine(depth=2, name="last", running=True),
    )
    hold = Hold(task="last", actor="", seconds=3.2, stack=("c.py:4 compute",))
    assert list(render(TaskTree(pid=7, tasks=tasks, hold=hold))) == [
        "process 7: 4 tasks",
        "the event loop is held for 3 s by last, innermost first:",
        "  c.py:4 compute",
        "main: waiting for less than 1 s in a.py:1 main",
        "├─ reasoner (actor): waiting for 1 min 15 s in b.py:2 inner",
        "│  │     from b.py:3 outer",
        "│  └─ helper (of reasoner): waiting in an unknown place",
        "└─ (nested nursery)",
        "   └─ last: running",
    ]
