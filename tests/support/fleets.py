"""An orchestrator and jobs for tests of the fleet."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from orchestrator.serving import pages_of
from support.model import ScriptedModel
from support.program import ran
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from support.program import Ended
    from trioworker.fleet.job_status import KnownOutcome
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Result
    from trioworker.testing import Turn


class RecordingObserver:
    """An `Observer` that writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, job: FleetJob) -> None:
        self.seen.append(("started", job.job_id))

    def retried(self, job: FleetJob, count: int, reason: str) -> None:
        self.seen.append(("retried", job.job_id))

    def ended(self, job: FleetJob, result: Result) -> None:
        self.seen.append(("ended", job.job_id))

    def notify(self, text: str) -> None:
        self.seen.append(("notify", text))

    def waiting(self, job: FleetJob, reason: str | None) -> None:
        self.seen.append(("waiting", f"{job.job_id}: {reason}"))

    def not_started(self, job: FleetJob, reason: str) -> None:
        self.seen.append(("not started", job.job_id))

    def left(self, job: FleetJob) -> None:
        self.seen.append(("left", job.job_id))


class FixedStatus:
    """A `JobStatusClient` that always returns the same, and keeps the times at which it was asked."""

    def __init__(self, answer: KnownOutcome = None) -> None:
        self.answer: KnownOutcome = answer
        self.times: list[float] = []

    @property
    def asked(self) -> int:
        return len(self.times)

    async def fetch_outcome(self, job: FleetJob) -> KnownOutcome:
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return self.answer


class OrchestratorForFleet:
    """An orchestrator, its jobs and the reports that it has accepted."""

    def __init__(self, store: Store, url: str) -> None:
        self.store = store
        self.url = url

    def jobs(self, path: Path, count: int, **fields: Any) -> list[str]:
        """Create jobs and write the file of jobs; return the ids."""
        made = [self.store.create_job("nothing", title=f"job {number}") for number in range(count)]
        path.write_text("".join(json.dumps({"job_id": job.id, "token": job.token, **fields}) + "\n" for job in made))
        return [job.id for job in made]

    def reports(self) -> list[str]:
        """Return the ids of the reported jobs; each must have exactly one `result` event."""
        ended = [view.id for view in self.store.views() if view.report is not None]
        for job_id in ended:
            results = [event for event in self.store.events(job_id, 0) if event.event_type == "result"]
            assert len(results) == 1, (job_id, results)
        return ended


@asynccontextmanager
async def open_orchestrator(*turns: Turn) -> AsyncGenerator[OrchestratorForFleet]:
    """Serve an orchestrator whose model answers every job with these turns."""
    with Store() as store:
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(
                serve, make_app(store, ScriptedModel(turns or (DONE,)), pages_of(store)), bind("127.0.0.1", 0)
            )
            yield OrchestratorForFleet(store, url)
            nursery.cancel_scope.cancel()


async def run_fleet(jobs: Path, url: str, *options: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `trioworker fleet` to its end, with a workspace for each job."""
    workspace = jobs.parent / "work" / "{job_id}"
    return await ran(
        "fleet", str(jobs), "--orchestrator-url", url, "--workspace", str(workspace), *options, environment=environment
    )


def results_of(jobs: Path) -> list[dict[str, Any]]:
    path = jobs.with_suffix(".results.jsonl")
    # A fleet whose engine can't be opened leaves none.
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
