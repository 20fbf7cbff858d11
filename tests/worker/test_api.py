"""`open_job` and `run_job`: what they do with what their caller gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.world import DONE, World
from trioworker import open_job, run_job

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_instrument_that_trio_has_disabled_does_not_fail_the_job(
    workspace: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            raise RuntimeError("a defect of the instrument")

    world = World([DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[], instruments=[Broken()])
    assert outcome.success
    assert "a defect of the instrument" in caplog.text


async def test_error_of_the_caller_keeps_its_cause(workspace: Path, autojump_clock: MockClock) -> None:
    world = World([DONE])
    cause = ValueError("the cause")
    with pytest.raises(RuntimeError, match="the error") as caught:
        async with open_job(world.config(workspace), transport=world, tools=[]):
            raise RuntimeError("the error") from cause
    assert caught.value.__cause__ is cause
