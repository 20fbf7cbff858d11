"""Scopes that the cancel matrix cancels by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.lowlevel

from trioworker.testing import cancel_matrix, cancel_target, must_be_closed


async def serve() -> None:
    with cancel_target("service"):
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)


def any_task(_: trio.lowlevel.Task) -> bool:
    return True


async def test_target_outside_of_a_matrix_is_a_cancel_scope() -> None:
    with cancel_target("service") as scope:
        scope.cancel()
        await trio.sleep_forever()
    assert scope.cancelled_caught


def test_checkpoints_inside_count_and_only_the_scope_is_cancelled() -> None:
    ends = 0

    async def body() -> None:
        nonlocal ends
        await trio.sleep(1)
        await serve()
        await trio.sleep(1)
        ends += 1

    report = cancel_matrix(body, scopes=["service"])
    assert report.failures == ()
    assert report.checkpoints == 3
    assert ends == report.runs


def test_scope_that_is_opened_again_continues_the_count() -> None:
    async def body() -> None:
        await serve()
        await serve()

    assert cancel_matrix(body, scopes=["service"]).checkpoints == 6


def test_failing_plan_names_the_scope_and_repeats() -> None:
    async def body() -> None:
        opened = must_be_closed([1], is_closed=lambda: not opened)
        with cancel_target("service"):
            await trio.sleep(1)
            await trio.sleep(1)
            opened.clear()

    failures = cancel_matrix(body, scopes=["service"]).failures
    assert [failure.plan for failure in failures] == ["cancel:service:0", "cancel:service:1"]
    assert len(cancel_matrix(body, only="cancel:service:1").failures) == 1


def test_nested_scopes_both_count() -> None:
    async def body() -> None:
        with cancel_target("outer"), cancel_target("inner"):
            await trio.sleep(1)

    assert cancel_matrix(body, scopes=["outer", "inner"]).checkpoints == 2


def test_scope_inside_one_of_the_same_name_counts_once() -> None:
    async def body() -> None:
        with cancel_target("service"), cancel_target("service"):
            await trio.sleep(1)

    assert cancel_matrix(body, scopes=["service"]).checkpoints == 1


def test_where_counts_chosen_tasks_outside_while_the_scope_is_open() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_in_turn, name="other")
            await trio.sleep(1.25)
            with cancel_target("victim"):
                await trio.sleep(1)

    async def sleep_in_turn() -> None:
        for _ in range(6):
            await trio.sleep(0.5)

    report = cancel_matrix(body, scopes=["victim"], where=lambda task: task.name == "other")
    report.raise_if_failed()
    assert report.checkpoints == 2


def test_checkpoint_outside_cancels_all_scopes_of_the_name_and_one_inside_its_own() -> None:
    ended: list[str] = []
    reached: set[tuple[str, ...]] = set()

    async def victim(name: str, seconds: float) -> None:
        with cancel_target("victim"):
            await trio.sleep(seconds)
            ended.append(name)

    async def body() -> None:
        ended.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(victim, "a", 4, name="a")
            nursery.start_soon(victim, "b", 5, name="b")
            nursery.start_soon(trio.sleep, 3, name="other")
            await trio.sleep(9)

    def reach(task: str) -> set[tuple[str, ...]]:
        reached.clear()
        report = cancel_matrix(
            body, invariant=lambda: reached.add(tuple(ended)), scopes=["victim"], where=lambda it: it.name == task
        )
        report.raise_if_failed()
        return reached - {("a", "b")}

    assert reach("other") == {()}
    assert reach("a") == {("b",)}


def test_slot_lost_by_a_cancel_before_its_receiver_wakes_is_found_at_a_checkpoint_of_the_giver() -> None:
    async def body() -> None:
        given, taken = trio.Event(), trio.Event()

        async def give() -> None:
            await trio.sleep(1)
            given.set()
            await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give)
            with cancel_target("victim"):
                await given.wait()
                await trio.lowlevel.checkpoint_if_cancelled()
                taken.set()
            assert taken.is_set() or not given.is_set(), "the slot is lost"

    assert cancel_matrix(body, scopes=["victim"]).failures == ()
    (failure,) = cancel_matrix(body, scopes=["victim"], where=any_task).failures
    assert "the slot is lost" in failure.reason
    assert "give" in failure.task


def test_scope_of_the_invariant_does_not_count() -> None:
    report = cancel_matrix(serve, invariant=serve, scopes=["service"], where=any_task)
    report.raise_if_failed()
    assert report.checkpoints == 3


def test_swallowed_cancel_of_a_scope_is_reported() -> None:
    async def body() -> None:
        with cancel_target("service"), suppress(BaseException):
            await trio.sleep(1)

    (failure,) = cancel_matrix(body, scopes=["service"]).failures
    assert "scope 'service' was cancelled, but continued" in str(failure.error)


def test_scope_that_is_never_opened_is_refused() -> None:
    with pytest.raises(ValueError, match="is there a cancel_target"):
        cancel_matrix(serve, scopes=["other"])


@pytest.mark.parametrize("scopes", ["service", ["service", "service"]])
def test_single_string_or_repeated_name_is_one_scope(scopes: str | list[str]) -> None:
    assert cancel_matrix(serve, scopes=scopes).checkpoints == 3


@pytest.mark.parametrize("name", ["", "two words", " x"])
def test_name_that_a_plan_cannot_contain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        cancel_matrix(serve, scopes=[name])
