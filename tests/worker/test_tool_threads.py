"""Threads of tools that hang: they block neither the journal, nor the events, nor the report."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest
import trio

from support.identity import JOB_ID
from support.tools import Log, Probe
from trioworker import run_job
from trioworker.protocol.limits import MAX_CALLS, MAX_TOOL_THREADS
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply
from trioworker.worker.state import records
from trioworker.worker.state.journal_file import open_journal
from trioworker.worker.tools.base import Parameters, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trioworker.worker.tools.base import ToolContext

DEADLOCK_SECONDS = 30.0
"""What a job that is blocked is given before the test fails; one that is not takes none of it."""


class HangParameters(Parameters, frozen=True):
    """`limit` is the call's time limit in seconds."""

    limit: float = 600.0


class Hang(Tool[HangParameters]):
    """Starts a thread that hangs, as a read from a dead disk does, and abandons it."""

    name: ClassVar[str] = "hang"
    description: ClassVar[str] = "Hangs."
    parameters: ClassVar[type[Parameters]] = HangParameters
    reads_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self.released = threading.Event()
        self.hanging = 0

    async def run(self, parameters: HangParameters, context: ToolContext) -> object:
        started = trio.Event()

        def hang() -> None:
            trio.from_thread.run_sync(started.set)
            self.released.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(context.run_in_thread, hang, abandon=True))
            await started.wait()
            self.hanging += 1
            nursery.cancel_scope.cancel()
        return "abandoned"

    def time_limit(self, parameters: HangParameters) -> float:
        return parameters.limit


@pytest.fixture
def hang() -> Iterator[Hang]:
    tool = Hang()
    yield tool
    tool.released.set()


async def test_journal_events_and_report_continue_while_all_threads_of_tools_hang(
    hang: Hang, workspace: Path, tmp_path: Path
) -> None:
    # As many as tools may have: it would not be their number that keeps the two apart.
    shared = trio.to_thread.current_default_thread_limiter()
    shared.total_tokens = MAX_TOOL_THREADS
    world = SimulatedOrchestrator(
        [
            reply(*[call("hang")] * MAX_CALLS),
            call("hang", limit=0.05),
            call("probe", text="still working"),
            DONE,
        ],
        thinking=0.0,
    )
    log = Log()
    with trio.fail_after(DEADLOCK_SECONDS):
        config = world.config(workspace, state_dir=tmp_path / "state")
        outcome = await run_job(config, transport=world, tools=[hang, Probe(log)])
        await trio.to_thread.run_sync(int)
    assert hang.hanging == MAX_TOOL_THREADS
    assert outcome.success
    assert outcome.reported
    assert log.texts == ["still working"]
    assert shared.borrowed_tokens == 0
    (error,) = [event["data"] for event in world.events if "timed out after 0.05 s" in str(event["data"])]
    assert error["tool_name"] == "hang"
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))
    assert world.events[-1]["event_type"] == "result"
    assert len(world.reports) == 1
    journal = open_journal(tmp_path / "state", JOB_ID)
    journal.close()
    written = [record for group in journal.past for record in group]
    assert sum(isinstance(record, records.CallEnded) for record in written) == MAX_CALLS + 2
    assert isinstance(written[-1], records.ReportAccepted)
