"""Runs of the cancel matrix are repeatable, and seeds change the order of tasks."""

from __future__ import annotations

import random
import threading
from itertools import count

import trio
import trio.lowlevel

from trioworker.testing import cancel_matrix, cancel_target
from trioworker.testing.matrix.scheduling import seed_scheduling


async def race(winners: list[int]) -> None:
    async def run(number: int) -> None:
        await trio.lowlevel.checkpoint()
        winners.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(run, number)


def orders(plan: str) -> list[int]:
    winners: list[int] = []
    cancel_matrix(lambda: race(winners), only=plan)
    return winners


def test_order_of_tasks_depends_only_on_the_seed() -> None:
    assert orders("seed:3") == orders("seed:3")
    assert len({tuple(orders(f"seed:{seed}")) for seed in range(8)}) > 1


def test_random_numbers_repeat_and_their_state_is_restored() -> None:
    numbers: list[float] = []

    async def body() -> None:
        await trio.lowlevel.checkpoint()
        numbers.append(random.random())

    random.seed(99)
    expected = random.random()
    random.seed(99)
    cancel_matrix(body, invariant=lambda: None)
    assert random.random() == expected
    assert len(numbers) == 2
    assert len(set(numbers)) == 1


def test_scheduling_of_others_is_restored() -> None:
    def winner() -> list[int]:
        winners: list[int] = []
        trio.run(race, winners)
        return winners

    seed_scheduling(5)
    expected = [winner(), winner()]
    seed_scheduling(5)
    first = winner()
    orders("seed:1")
    assert [first, winner()] == expected


def test_concurrent_matrix_is_refused() -> None:
    errors: list[str] = []

    def run_another() -> None:
        try:
            cancel_matrix(trio.lowlevel.checkpoint)
        except RuntimeError as error:
            errors.append(str(error))

    async def body() -> None:
        await trio.lowlevel.checkpoint()
        thread = threading.Thread(target=run_another)
        thread.start()
        thread.join()

    cancel_matrix(body, only="seed:0").raise_if_failed()
    assert errors == ["another thread runs a cancel matrix: run one after the other, or in several processes"]
    cancel_matrix(trio.lowlevel.checkpoint).raise_if_failed()


def test_nondeterministic_program_is_reported_in_one_line() -> None:
    runs = count()

    async def body() -> None:
        for _ in range(next(runs)):
            await trio.sleep(1)

    (failure,) = cancel_matrix(body).failures
    assert type(failure.error).__name__ == "NondeterminismError"
    assert "\n" not in str(failure.error)


def test_program_that_changes_later_is_reported_instead_of_its_failures() -> None:
    runs = count()

    async def body() -> None:
        for _ in range(3 if next(runs) < 3 else 1):
            await trio.sleep(1)

    (failure,) = cancel_matrix(body, only=None).failures
    assert "was not reached" in str(failure.error)


def test_first_run_may_fill_a_cache() -> None:
    cache: list[int] = []

    async def body() -> None:
        if not cache:
            await trio.sleep(1)
            cache.append(1)
        await trio.sleep(1)

    report = cancel_matrix(body)
    assert (report.checkpoints, report.failures) == (1, ())


def test_seeds_find_what_depends_on_the_order() -> None:
    async def body() -> None:
        winners: list[int] = []
        await race(winners)
        assert winners[0] != 3

    assert cancel_matrix(body, only="seed:0").failures == ()
    failures = cancel_matrix(body, seeds=60).failures
    assert failures
    assert cancel_matrix(body, only=failures[0].plan).failures


def test_failing_random_plan_is_shrunk_to_the_one_cancel_that_matters() -> None:
    async def body() -> None:
        with cancel_target("a"):
            await trio.sleep(1)
            await trio.sleep(1)
        with cancel_target("b") as scope:
            await trio.sleep(1)
        assert not scope.cancelled_caught

    report = cancel_matrix(body, scopes=["a", "b"], seeds=20)
    assert {failure.plan for failure in report.failures} == {"cancel:b:0"}
    assert len(report.failures) == 1
