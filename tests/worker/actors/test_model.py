"""Requests to the model: `max_tokens`, turns without tools, and failures of the model server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from support.tools import Log, Probe
from trioworker import run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.testing import Turn

UNAVAILABLE = (502, "unavailable", "connection refused")


def refusing(refusals: Sequence[tuple[int, str, str]], turns: Sequence[Turn] = (DONE,)) -> SimulatedOrchestrator:
    """A model server that refuses the first requests with `(status, kind, message)`, and then plays the turns."""
    faults = [
        Fault.status(status, body=refusal(kind, message), path="llm", request=number)
        for number, (status, kind, message) in enumerate(refusals)
    ]
    return SimulatedOrchestrator(turns, faults=faults)


def refusal(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"error": {"kind": kind, "message": message}} if kind else message)


def max_tokens(world: SimulatedOrchestrator) -> list[int]:
    """The values in all requests to the model."""
    return [exchange.body["max_tokens"] for exchange in world.asked("llm")]


async def test_max_tokens_option_is_the_value_of_every_request(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([say(""), say(""), DONE])
    await run_job(world.config(workspace, max_tokens=9000), transport=world, tools=[])
    assert [exchange.path for exchange in world.asked("llm")] == [
        "llm/complete_with_tools",
        "llm/complete_with_tools",
        "llm/complete",
    ]
    assert max_tokens(world) == [9000, 9000, 9000]


async def test_refused_max_tokens_are_lowered_to_the_allowed_value_and_kept(
    workspace: Path, autojump_clock: MockClock
) -> None:
    refusal = (422, "max_tokens", "max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens")
    world = refusing([refusal], [call("probe"), DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max_tokens(world) == [16384, 8192, 8192]


async def test_refused_max_tokens_without_a_value_are_lowered_to_4096_and_then_fail(
    workspace: Path, autojump_clock: MockClock
) -> None:
    refusal = (422, "max_tokens", "zu viel")
    world = refusing([refusal, refusal])
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert max_tokens(world) == [16384, 4096]
    assert outcome.message == "Execution failed: zu viel"


async def test_max_tokens_are_lowered_five_times_at_most(workspace: Path, autojump_clock: MockClock) -> None:
    refusals = [
        (422, "max_tokens", f"max_tokens: {value} > {value - 1}, which is the maximum") for value in range(16384, 0, -1)
    ]
    world = refusing(refusals)
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert max_tokens(world) == list(range(16384, 16378, -1))
    assert outcome.status == "failed"


async def test_max_tokens_refused_in_a_plain_502_are_lowered(workspace: Path, autojump_clock: MockClock) -> None:
    world = refusing([(502, "", "Provider: the valid range of max_tokens is [1, 8192]")])
    assert (await run_job(world.config(workspace), transport=world, tools=[])).success
    assert max_tokens(world) == [16384, 8192]


async def test_turn_without_tools_defines_them_once_the_history_has_calls(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe"), say(""), say(""), DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    last = world.asked("llm/complete_with_tools")[-1].body
    assert world.asked("llm/complete") == []
    assert last["tool_choice"] == "none"
    assert [tool["name"] for tool in last["tools"]] == ["probe"]


async def test_rejected_key_fails_the_job_at_once_with_the_providers_words(
    workspace: Path, autojump_clock: MockClock
) -> None:
    words = "the model server rejected the API key (401): Incorrect API key provided"
    world = refusing([(422, "rejected", words)])
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.message == f"Execution failed: {words}"
    assert autojump_clock.current_time() < 5
    assert len(max_tokens(world)) == 1


async def test_second_attempt_is_reported_once_with_the_reason_and_the_time_that_is_left(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = refusing([UNAVAILABLE] * 3)
    assert (await run_job(world.config(workspace, timeout=80.0), transport=world, tools=[])).success
    statuses = [data["message"] for data in world.of_type("status")]
    (reported,) = [status for status in statuses if "does not answer" in status]
    expected = "the model does not answer: connection refused; retrying until the job's time is up, in 80 s"
    assert reported == expected


async def test_model_that_never_answers_is_asked_until_the_deadline(workspace: Path, autojump_clock: MockClock) -> None:
    world = refusing([UNAVAILABLE] * 10_000)
    outcome = await run_job(world.config(workspace, timeout=500.0), transport=world, tools=[])
    assert outcome.message == "Execution timed out\n\nthe model does not answer: connection refused"
    assert 490 < world.asked("llm/complete_with_tools")[-1].at <= 500


async def test_model_that_answers_after_minutes_continues_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = refusing([UNAVAILABLE] * 100)
    outcome = await run_job(world.config(workspace, timeout=590.0), transport=world, tools=[])
    assert outcome.success
    assert autojump_clock.current_time() > 150
