"""Scopes that the cancel matrix cancels by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from trioworker.testing import cancel_matrix, cancel_target, must_be_closed


async def serve() -> None:
    with cancel_target("service"):
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)


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


def test_swallowed_cancel_of_a_scope_is_reported() -> None:
    async def body() -> None:
        with cancel_target("service"), suppress(BaseException):
            await trio.sleep(1)

    (failure,) = cancel_matrix(body, scopes=["service"]).failures
    assert "scope 'service' was cancelled, but continued" in str(failure.error)


def test_scope_that_is_never_opened_is_refused() -> None:
    with pytest.raises(ValueError, match="is there a cancel_target"):
        cancel_matrix(serve, scopes=["other"])


@pytest.mark.parametrize("name", ["", "two words", " x"])
def test_name_that_a_plan_cannot_contain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        cancel_matrix(serve, scopes=[name])
