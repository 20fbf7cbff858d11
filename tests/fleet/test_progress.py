"""Counts, the estimate, and what is shown of them: on a terminal, in a log, and as a table."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.fleet.display import Display
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.progress import Progress
from trioworker.fleet.results import Result
from trioworker.fleet.stopping import Stop
from trioworker.fleet.table import MAX_ROWS, table
from trioworker.fleet.waits import kind_of
from trioworker.observability.terminal_text import columns_of

if TYPE_CHECKING:
    from trio.testing import MockClock


def job(number: int, title: str | None = None) -> FleetJob:
    return FleetJob(
        job_id=f"job-{number}",
        token="t",
        orchestrator_url="http://x",
        workspace=None,
        worker_options=(),
        title=title or f"Task {number}",
    )


def result(
    number: int, *, seconds: float = 10.0, success: bool = True, message: str = "done", tokens: int | None = 7
) -> Result:
    return Result(
        job_id=f"job-{number}",
        exit_code=0 if success else 1,
        status="completed" if success else "failed",
        success=success,
        message=message,
        seconds=seconds,
        attempts=1,
        engine="process",
        node="here",
        input_tokens=tokens,
        output_tokens=None if tokens is None else 1000,
    )


JOBS = [job(number) for number in range(20)]


async def test_estimate_follows_the_mean_and_the_number_of_workers(autojump_clock: MockClock) -> None:
    progress = Progress(JOBS, [], 2, Stop())
    assert progress.seconds_left() is None
    progress.start(JOBS[0])
    progress.start(JOBS[1])
    await trio.sleep(10)
    progress.end(JOBS[0], result(0))
    progress.start(JOBS[2])
    # 17 wait and one has just started, 10 s each; the other one should have ended by now.
    assert progress.seconds_left() == pytest.approx(180 / 2)
    assert progress.rest() == "about 2 min left"
    await trio.sleep(5)
    assert progress.seconds_left() == pytest.approx(175 / 2)


async def test_estimate_starts_from_the_results_of_earlier_runs(autojump_clock: MockClock) -> None:
    earlier = [result(number, seconds=60) for number in range(18)]
    progress = Progress(JOBS, earlier, 4, Stop())
    assert progress.ended == 18
    assert progress.rest() == "about 60 s left"


async def test_estimate_of_a_stopped_fleet_is_for_what_runs(autojump_clock: MockClock) -> None:
    stop = Stop()
    progress = Progress(JOBS, [result(0, seconds=60)], 4, stop)
    progress.start(JOBS[1])
    await trio.sleep(20)
    stop.drain()
    assert progress.seconds_left() == pytest.approx(40)


async def test_line_names_who_runs_and_fits_the_width(autojump_clock: MockClock) -> None:
    progress = Progress(JOBS, [result(0, seconds=60)], 2, Stop())
    progress.start(job(1, "漢字" * 30))
    await trio.sleep(3)
    progress.start(job(2, "Add\x1b[2J it"))
    await trio.sleep(62)
    line = progress.line(200)
    assert line.startswith("1/20 · about 9 min left · 漢字")
    assert line.endswith(r"1 min 05 s, Add\x1b[2J it 1 min 02 s")
    assert columns_of(progress.line(30)) <= 30


async def test_log_has_a_line_when_something_ends(autojump_clock: MockClock) -> None:
    out = io.StringIO()
    display = Display(Progress(JOBS[:4], [], 2, Stop()), out)
    for each in JOBS[:4]:
        display.started(each)
    display.ended(JOBS[0], result(0, seconds=12))
    display.retried(JOBS[1], 1, "the worker was killed by signal 9")
    display.ended(JOBS[1], result(1, success=False, message="no way\x1b[2J\nfurther"))
    display.not_started(JOBS[2], "git clone: repository not found")
    display.left(JOBS[3])
    assert out.getvalue().splitlines() == [
        "trioworker: 1/4 completed: Task 0 (12 s); about 20 s left",
        "trioworker: Task 1: attempt 1 failed, trying again: the worker was killed by signal 9",
        r"trioworker: 2/4 failed: Task 1 (10 s): no way\x1b[2J; about 20 s left",
        "trioworker: 3/4 not started: Task 2: git clone: repository not found; about 20 s left",
    ]


async def test_terminal_has_a_line_that_is_redrawn_each_second_and_removed(autojump_clock: MockClock) -> None:
    out = io.StringIO()
    display = Display(Progress(JOBS[:2], [], 2, Stop()), out, columns=60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(display.run)
        display.started(JOBS[0])
        await trio.sleep(1.5)
        display.ended(JOBS[0], result(0))
        display.started(JOBS[1])
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert out.getvalue().split("\r\x1b[K") == [
        "",
        "0/2 · Task 0 0 s",
        "0/2 · Task 0 0 s",
        "0/2 · Task 0 1 s",
        "trioworker: 1/2 completed: Task 0 (10 s)\n",
        "1/2 · about 10 s left · Task 1 0 s",
        "",
    ]


async def test_jobs_with_the_same_reason_share_a_line_until_their_number_doubles(autojump_clock: MockClock) -> None:
    out = io.StringIO()
    display = Display(Progress(JOBS, [], 20, Stop()), out)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(display.run)
        await trio.sleep(0.5)
        for number, each in enumerate(JOBS):
            display.started(each)
            if number < 7:
                display.waiting(each, f"0/{number + 2} nodes are available: insufficient cpu")
        display.waiting(JOBS[8], 'Back-off pulling image "a:1"\nfurther')
        await trio.sleep(60)
        display.waiting(JOBS[9], 'Back-off pulling image "a:2"')
        for each in JOBS[10:16]:
            display.waiting(each, "0/9 nodes are available: insufficient cpu")
        await trio.sleep(60)
        display.waiting(JOBS[16], "0/10 nodes are available: insufficient cpu")
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert out.getvalue().splitlines() == [
        "trioworker: 7 jobs are waiting: 0/8 nodes are available: insufficient cpu",
        'trioworker: Task 8 is waiting: Back-off pulling image "a:1"',
        'trioworker: Task 9 is waiting: Back-off pulling image "a:2"',
        "trioworker: 14 jobs are waiting: 0/10 nodes are available: insufficient cpu",
    ]


async def test_reason_that_comes_and_goes_has_one_line_per_job(autojump_clock: MockClock) -> None:
    out = io.StringIO()
    display = Display(Progress(JOBS, [], 20, Stop()), out)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(display.run)
        display.started(JOBS[0])
        for second in range(95):
            display.waiting(JOBS[second // 52], "insufficient cpu" if second % 4 < 2 else None)
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert out.getvalue().splitlines() == [
        "trioworker: Task 0 is waiting: insufficient cpu",
        "trioworker: Task 1 is waiting: insufficient cpu",
    ]


def test_reasons_differ_by_what_is_quoted_but_not_by_numbers_or_our_names() -> None:
    assert kind_of("0/2 nodes: 1 Insufficient cpu") == kind_of("0/13 nodes: 12 Insufficient cpu")
    assert kind_of("used: requests.cpu=1500m") == kind_of("used: requests.cpu=250m")
    pods = (f'pods "trioworker-{start}-35fd-434d-4bac-8161543615c0-x7x2p" denied' for start in ("f105fd35", "a2b3c4d5"))
    assert len(set(map(kind_of, pods))) == 1
    assert kind_of('image "a:1"') != kind_of('image "a:2"')


async def test_live_line_counts_the_waiting_jobs_and_names_the_others(autojump_clock: MockClock) -> None:
    progress = Progress(JOBS, [], 4, Stop())
    for each in JOBS[:4]:
        progress.start(each)
    progress.waits.set(JOBS[0], "insufficient cpu")
    progress.waits.set(JOBS[1], "insufficient cpu")
    progress.waits.set(JOBS[2], "no such image")
    assert progress.line(80) == "0/20 · 3 waiting, 2 of them: insufficient cpu · Task 3 0 s"
    progress.waits.set(JOBS[0], None)
    progress.end(JOBS[1], result(1))
    assert progress.line(80) == "1/20 · about 50 s left · 1 waiting: no such image · Task 0 0 s, Task 3 0 s"


async def test_table_of_a_stopped_fleet_says_what_its_jobs_waited_for(autojump_clock: MockClock) -> None:
    progress = Progress(JOBS[:2], [], 2, Stop())
    progress.start(JOBS[0])
    progress.waits.set(JOBS[0], "insufficient cpu")
    progress.end(JOBS[0])
    lines = table(JOBS[:2], {}, progress.not_started, 80, progress.waits.reasons)
    assert lines[1:] == ["Task 0  left         waiting: insufficient cpu", "Task 1  left"]


def test_table_fits_the_width_and_escapes_control_characters() -> None:
    jobs = [job(0, "Fix\nit"), job(1, "漢字" * 30), job(2), job(3)]
    done = {
        "job-0": result(0, message="\nAll\x1b[2J good. " + "x" * 200 + "\nmore"),
        "job-1": result(1, success=False, message="no way"),
    }
    lines = table(jobs, done, {"job-2": "no room"}, 80)
    assert max(map(columns_of, lines)) <= 80
    assert lines[0].split() == ["TASK", "STATE", "TIME", "TOKENS", "ANSWER", "OR", "REASON"]
    assert r"All\x1b[2J good. xx" in lines[1]
    assert lines[1].startswith("Fix ")
    assert lines[1].split()[1:5] == ["completed", "10", "s", "1,007"]
    assert lines[2].endswith("no way")
    assert lines[3].split() == ["Task", "2", "not", "started", "no", "room"]
    assert lines[4].split() == ["Task", "3", "left"]
    assert all(columns_of(line) <= 20 for line in table(jobs, done, {}, 20))


def test_table_of_a_foreign_orchestrator_has_no_tokens() -> None:
    lines = table(JOBS[:1], {"job-0": result(0, tokens=None)}, {}, 80)
    assert lines == ["TASK    STATE      TIME  ANSWER OR REASON", "Task 0  completed  10 s  done"]


def test_long_table_has_only_what_did_not_succeed() -> None:
    jobs = [job(number) for number in range(2 * MAX_ROWS)]
    done = {f"job-{number}": result(number, success=number % 10 != 3) for number in range(2 * MAX_ROWS)}
    lines = table(jobs, done, {}, 80)
    assert len(lines) == 1 + 10 + 1
    assert all(" failed " in line for line in lines[1:-1])
    assert lines[-1] == "… and 90 more"


async def test_live_line_of_many_jobs_costs_little(autojump_clock: MockClock) -> None:
    def cpu_time(count: int) -> float:
        jobs = [job(number) for number in range(count)]
        progress = Progress(jobs, (), count, Stop())
        for each in jobs:
            progress.start(each)
        began = time.process_time()
        for _ in range(20):
            assert "Task 0 0 s, Task 1 0 s" in progress.line(80)
        return time.process_time() - began

    assert cpu_time(5_000) < 20 * cpu_time(10) + 0.05
