"""Whole jobs whose model replies with anything: each ends, is reported, and sends only valid requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from fuzz.foreign import NESTED, encoded, reply_objects
from fuzz.profile import fuzzing
from support.tools import Log, Look, Probe
from support.wire_rules import assert_well_formed
from trioworker import JobOutcome, open_job
from trioworker.protocol import wire
from trioworker.testing import SimulatedOrchestrator
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.testing import Exchange

LAST = wire.Reply(content="Whatever that was: the job is complete.", finish_reason="stop")
DEEP_CALL = b'{"tool_calls": [{"id": "a", "name": "probe", "arguments": {"text": %b}}]}'


class Babbling(SimulatedOrchestrator):
    """A model that answers with these bytes, and then ends the job."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        super().__init__()
        self._replies = [*replies, encoded(LAST)]

    async def think(self, exchange: Exchange) -> tuple[int, bytes]:
        await trio.sleep(self.thinking)
        return 200, self._replies[0] if len(self._replies) == 1 else self._replies.pop(0)


def run(replies: Sequence[bytes]) -> tuple[JobOutcome, Babbling, Disk]:
    """Run the job from start to end."""
    world, disk = Babbling(replies), Disk()

    async def job() -> JobOutcome:
        tools: list[Any] = [Probe(Log()), Look(Log())]
        config = world.config(Path("/"))
        async with open_job(config, transport=world, tools=tools, journal=Journal(DiskStorage(disk))) as running:
            return await running.wait()

    return trio.run(job, clock=MockClock(autojump_threshold=0)), world, disk


def assert_ended_well(replies: Sequence[bytes]) -> JobOutcome:
    outcome, world, disk = run(replies)
    assert outcome.reported
    assert outcome.metrics.restarts == 0
    assert len(world.reports) == 1
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))
    for messages in world.conversations():
        assert_well_formed(messages)
    # Another process would know from the journal that the job has ended.
    again = Journal(DiskStorage(Disk()), bytes(disk.content))
    assert again.torn == 0
    assert type(again.past[-1][-1]).__name__ == "ReportAccepted"
    return outcome


@fuzzing(0.4)
@given(st.lists(reply_objects().map(encoded), min_size=1, max_size=3))
@example([b'{"content": "", "input_tokens": 123456789012345678901234567890}'])
def test_job_ends_and_is_reported_for_any_reply(replies: list[bytes]) -> None:
    assert_ended_well(replies)


@fuzzing(0.15)
@given(NESTED)
def test_nested_arguments_fail_a_job_only_if_they_cannot_be_decoded(nested: bytes) -> None:
    outcome = assert_ended_well([DEEP_CALL % nested])
    assert outcome.success or "violates the contract" in outcome.message


def test_arguments_at_the_decoders_depth_limit_do_not_break_the_job() -> None:
    for depth in range(900, 1000, 4):
        outcome = assert_ended_well([DEEP_CALL % (b"[" * depth + b"]" * depth)])
        assert outcome.success or "violates the contract" in outcome.message
