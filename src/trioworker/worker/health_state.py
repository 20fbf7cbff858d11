"""The state of a worker, as `trioworker health` reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.observability.health_check import ActorHealth, Health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.observability.health_check import WorkerState
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.state.job import Job
    from trioworker.worker.state.records import Record


class HealthState:
    """Reads the state of a worker. Before the job is fetched, it reports only that the worker is alive.

    `running` is set once the job runs.
    """

    def __init__(self, job: Job, job_id: str) -> None:
        self._job = job
        self._job_id = job_id
        self._progressed_at = trio.current_time()
        self.running: RunningJob | None = None
        job.watchers.append(self._progressed)

    def read(self) -> Health:
        """The state as of now."""
        job, running = self._job, self.running
        tools = tuple(call.planned.name for call in job.turn if call.started and call.ended is None)
        actors = running.actors.values() if running else ()
        return Health(
            state=self._state(tools),
            job_id=self._job_id,
            iteration=job.iteration,
            idle=round(trio.current_time() - self._progressed_at, 3),
            tools=tools,
            actors={actor.name: ActorHealth(state=actor.state, restarts=actor.restarts) for actor in actors},
        )

    def _progressed(self, _: Iterable[Record]) -> None:
        self._progressed_at = trio.current_time()

    def _state(self, tools: tuple[str, ...]) -> WorkerState:
        if self.running is None:
            return "starting"
        if self._job.decided is not None or self.running.stop_reason is not None:
            return "shutting down"
        if tools:
            return "running tool"
        return "waiting for model" if self._job.awaiting_reply else "working"
