"""The time limits of a tool and of a job: their processes are terminated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.program import until
from support.realjob import real_job
from support.world import DONE, calling

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

TREE = "echo so far; (sleep 300; true) & setsid -f sleep 300; trap '' TERM; while true; do sleep 0.2; done"
"""A child, an orphan in a session of its own, and a shell that ignores SIGTERM."""


async def test_tool_that_times_out_is_terminated_with_its_tree_and_the_job_continues(
    store: Store, workspace: Path
) -> None:
    survivors: list[dict[int, str]] = []
    async with real_job(store, workspace, [calling(("shell", {"command": TREE, "timeout": 1})), DONE]) as job:

        async def check_survivors(number: int) -> None:
            if number == 2:
                survivors.append(job.survivors())

        job.model.before_reply = check_survivors
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert survivors == [{}]
    (message,) = job.model.received("tool")
    assert "Error: timed out after 1 s; output until then:\nso far\n" in message
    (result,) = job.of_type("tool_result")
    assert not result["success"]
    assert result["output"].startswith("Error: timed out after 1 s")


async def test_job_that_reaches_its_deadline_is_reported(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("shell", {"command": TREE})), DONE], "--timeout", "2") as job:
        await until(job.survivors)
        ended = await job.ended()

        assert job.survivors() == {}
    assert ended.code == 1, ended.err
    assert 2 <= ended.seconds < 2 + 8
    assert (ended.outcome["status"], ended.outcome["message"]) == ("stuck", "Execution timed out")
    assert job.report.message == "Execution timed out"
    assert job.view.state == "stuck"


async def test_job_whose_model_never_answers_reaches_its_deadline(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("list_dir", {}), delay=300)], "--timeout", "1.5") as job:
        ended = await job.ended()

    assert ended.code == 1, ended.err
    assert job.report.message == "Execution timed out"
