"""The cancel matrix cancels a program at each of its checkpoints, and says what failed where."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

from trioworker.testing import CancelMatrixError, cancel_matrix, must_be_closed

if TYPE_CHECKING:
    from pathlib import Path


class Connection:
    """A resource."""

    closed = False


async def sleep_twice() -> None:
    await trio.sleep(1)
    await trio.sleep(1)


async def leak_at_second_checkpoint() -> None:
    await trio.sleep(1)
    connection = must_be_closed(Connection())
    await trio.sleep(1)
    connection.closed = True


def line_of(function: object, text: str) -> int:
    lines, first = inspect.getsourcelines(function)  # pyright: ignore[reportArgumentType]
    return first + next(number for number, line in enumerate(lines) if text in line)


def test_correct_program_passes_at_each_checkpoint() -> None:
    report = cancel_matrix(sleep_twice)
    report.raise_if_failed()
    assert (report.checkpoints, report.runs, report.failures) == (2, 4, ())


def test_checkpoints_of_all_tasks_inside_count() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_twice)
            nursery.start_soon(sleep_twice)

    report = cancel_matrix(body)
    assert report.checkpoints == 5
    assert report.failures == ()


def test_where_chooses_the_tasks_that_count() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_twice, name="chosen")
            nursery.start_soon(sleep_twice, name="other")

    assert cancel_matrix(body, where=lambda task: task.name == "chosen").checkpoints == 2


def test_failure_names_task_file_line_and_number() -> None:
    (failure,) = cancel_matrix(leak_at_second_checkpoint).failures
    assert failure.number == 1
    assert failure.plan == "cancel:1"
    assert failure.task == "leak_at_second_checkpoint"
    assert failure.file == __file__
    assert failure.line == line_of(leak_at_second_checkpoint, "Connection()") + 1
    assert "Connection" in str(failure.error)


def test_repeated_plan_fails_again() -> None:
    (failure,) = cancel_matrix(leak_at_second_checkpoint).failures
    assert failure.repeat == "cancel_matrix(leak_at_second_checkpoint, only='cancel:1')"
    report = cancel_matrix(leak_at_second_checkpoint, only=failure.plan)
    assert report.runs == 1
    assert [(again.number, again.line) for again in report.failures] == [(1, failure.line)]
    assert cancel_matrix(leak_at_second_checkpoint, only="cancel:0").failures == ()


def test_repeat_line_is_made_by_the_given_function() -> None:
    (failure,) = cancel_matrix(leak_at_second_checkpoint, repeat=lambda plan: f"run {plan}").failures
    assert failure.repeat == "run cancel:1"


def test_plan_beyond_the_last_checkpoint_fails() -> None:
    (failure,) = cancel_matrix(sleep_twice, only="cancel:7").failures
    assert "cancel:7 was not reached: only 2 checkpoints" in str(failure.error)


def test_failures_with_one_reason_are_shown_together() -> None:
    async def body() -> None:
        connection = must_be_closed(Connection())
        for _ in range(40):
            await trio.sleep(1)
        connection.closed = True

    report = cancel_matrix(body)
    assert len(report.failures) == 40
    with pytest.raises(CancelMatrixError) as caught:
        report.raise_if_failed()
    message = str(caught.value)
    assert message.count("NotClosedError") == 1
    assert "40 checkpoints, 42 runs: 40 failed" in message
    assert "and 39 more" in message
    assert "only='cancel:0'" in message
    assert len(message.splitlines()) == 5


def test_task_that_only_runs_trio_is_placed_where_its_nursery_is_open() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)

    def check() -> None:
        raise ValueError

    failures = cancel_matrix(body, invariant=check, only="cancel:1").failures
    assert [failure.file for failure in failures] == [__file__]


def test_checkpoint_in_a_library_names_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "some_library.py").write_text("import trio\nasync def wait():\n    await trio.sleep(1)\n")
    monkeypatch.setattr(sys, "path", [str(library), *sys.path])
    monkeypatch.delitem(sys.modules, "some_library", raising=False)
    import some_library  # pyright: ignore

    async def body() -> None:
        must_be_closed(Connection())
        await some_library.wait()  # pyright: ignore

    failure = cancel_matrix(body, only="cancel:0").failures[0]
    assert (failure.file, failure.line) == (str(library / "some_library.py"), 3)
    assert failure.caller.endswith(f"test_cancel_matrix.py:{line_of(body, 'some_library.wait')}")


def test_invariant_is_called_after_each_run() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1

    assert cancel_matrix(sleep_twice, invariant=check).runs == calls == 4


def test_asynchronous_invariant_runs_uncancelled() -> None:
    times: list[float] = []

    async def check() -> None:
        await trio.sleep(5)
        times.append(trio.current_time())

    assert cancel_matrix(sleep_twice, invariant=check).failures == ()
    assert times == [7, 7, 5, 6]


def test_matrix_inside_trio_is_refused() -> None:
    async def main() -> None:
        cancel_matrix(sleep_twice)

    with pytest.raises(RuntimeError, match="call it from a synchronous function"):
        trio.run(main)


def test_body_without_checkpoints_is_refused() -> None:
    async def body() -> None:
        pass

    with pytest.raises(ValueError, match="no checkpoint in the body"):
        cancel_matrix(body)


def test_synchronous_body_is_reported() -> None:
    (failure,) = cancel_matrix(lambda: None).failures  # pyright: ignore[reportArgumentType]
    assert "body must be an async function" in str(failure.error)


@pytest.mark.parametrize("text", ["", "cancel", "cancel:x", "seed:"])
def test_malformed_plan_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="plan") as caught:
        cancel_matrix(sleep_twice, only=text)
    assert "\n" not in str(caught.value)


def test_interrupt_ends_the_matrix() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_twice)
            await trio.lowlevel.checkpoint()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancel_matrix(body)
