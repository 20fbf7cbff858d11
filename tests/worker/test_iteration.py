"""The iteration that the embedded orchestrator shows while a job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from support.model import ScriptedModel
from support.tools import Log, Probe
from trioworker import WorkerConfig, run_job
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_shown_iteration_is_the_one_whose_reply_is_awaited(workspace: Path, autojump_clock: MockClock) -> None:
    model = ScriptedModel([*(call("probe", text=str(number)) for number in range(8)), DONE])
    shown: list[int] = []
    with Store() as store:
        job = store.create_job("Make the tests pass.", title="Fix")

        async def note(_: int) -> None:
            view = store.view(job.id)
            assert view is not None
            shown.append(view.iteration)

        model.before_reply = note
        config = WorkerConfig(
            job_id=job.id, token=job.token, orchestrator_url="http://orchestrator.test", workspace=workspace
        )
        transport = httpx.ASGITransport(make_app(store, model))
        await run_job(config, transport=transport, tools=[Probe(Log())])
        assert shown == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        ended = store.view(job.id)
        assert ended is not None
        assert ended.iteration == 9
