"""The reminder after a text without a call: the job continues, and no request ends with the assistant's message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.tools import Log, Probe
from trioworker import run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call, say
from trioworker.worker.llm.loop_detection import GO_ON

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


@pytest.mark.parametrize("content", ["I will now run the tests with shell.", "The parser drops a line."])
async def test_text_without_a_call_is_followed_by_the_reminder_and_the_job_continues(
    content: str, workspace: Path, autojump_clock: MockClock
) -> None:
    log = Log()
    world = SimulatedOrchestrator([say(content), say(content), call("probe", text="one"), DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log)])
    assert outcome.success
    assert log.texts == ["one"]
    requests = world.conversations()
    assert len(requests) == 4
    said = [("assistant", content), ("user", GO_ON)]
    assert [(message["role"], message["content"]) for message in requests[2][2:]] == said * 2
    assert all(messages[-1]["role"] != "assistant" for messages in requests)
    # A person reads the text itself, and no status about the reminder.
    assert [data["content"] for data in world.of_type("message")][:2] == [content, content]
    assert GO_ON not in str(world.events)


async def test_report_is_the_text_before_the_reminder_if_the_model_then_only_ends_the_job(
    workspace: Path, autojump_clock: MockClock
) -> None:
    answer = say("There are two lines.")
    world = SimulatedOrchestrator([call("probe", text="2 a.txt"), answer, say("The job is complete.")])
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.message == "There are two lines."
