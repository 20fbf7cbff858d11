"""A job with the embedded orchestrator's own application, in one process."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx

from support.tools import Log, Probe
from trioworker import open_job
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import Prompt
from trioworker.worker.config import WorkerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker import JobOutcome
    from trioworker.orchestrator.backends.base import Backend


async def run_job_with(backend: Backend, workspace: Path, *prompts: str, **options: Any) -> tuple[JobOutcome, Log]:
    """Run a job whose only tool is a probe, to its report, and close the backend. `prompts` wait from the start."""
    log = Log()
    with Store() as store:
        job = store.create_job("Make the tests pass.", title="Fix")
        for prompt in prompts:
            store.add_prompt(job.id, Prompt(content=prompt))
        url = "http://orchestrator.test"
        config = WorkerConfig(job_id=job.id, token=job.token, orchestrator_url=url, workspace=workspace, **options)
        transport = httpx.ASGITransport(make_app(store, backend))
        async with aclosing(backend), open_job(config, transport=transport, tools=[Probe(log)]) as running:
            return await running.wait(), log
