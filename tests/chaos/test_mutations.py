"""Mutation tests of the invariants: each catches a defect that is put into the worker.

Only here is code patched: a defect has to be in the worker itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from chaos.reference import reference_job
from support.tools import Log, Probe
from trioworker.testing import (
    Cancel,
    ClockJump,
    Fault,
    Freeze,
    Kill,
    Plan,
    Signal,
    SimulatedJob,
    SimulatedOrchestrator,
    Supersede,
    assert_invariants,
    cancel_points,
    simulate,
)
from trioworker.worker import api
from trioworker.worker.actors.event_shipper import EventShipper
from trioworker.worker.actors.tool_executor import ToolExecutor
from trioworker.worker.cancellation import JobScopes
from trioworker.worker.client.orchestrator_client import OrchestratorClient
from trioworker.worker.client.retries import RetryingSender
from trioworker.worker.lifecycle import RunningJob
from trioworker.worker.state.job import Job
from trioworker.worker.state.records import EventDelivered, ReportAccepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest
    from httpx import Request, Response

    from trioworker.protocol import wire
    from trioworker.worker.cancellation import ReportDelivery
    from trioworker.worker.client.retries import RequestLimits
    from trioworker.worker.clocks import Moment
    from trioworker.worker.tools.base import ToolContext

SAMPLE = 10
"""One in this many plans of the cancel matrix is run here: a defect need not be caught by each of them."""


def is_caught(plans: Iterable[Plan], problem: str = "") -> bool:
    """Whether any of the plans breaks an invariant with `problem` in its description. The others aren't run."""
    return any(broken and problem in broken for broken in map(problem_of, plans))


def problem_of(plan: Plan, job: Callable[[], SimulatedJob] = reference_job) -> str:
    """The message of the invariants that a plan breaks, empty if there are none."""
    try:
        assert_invariants(simulate(job, plan))
    except AssertionError as error:
        return str(error)
    return ""


def test_lost_event_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget_before_sending(self: Any) -> None:
        while self._job.outbox:
            post = self._job.outbox[0]
            self._job.commit(EventDelivered())
            await self._client.post(post.path, msgspec.json.encode(post.body))

    monkeypatch.setattr(EventShipper, "_drain", forget_before_sending)
    plans = [Plan(0, (Kill(write, 100, power=False),)) for write in range(5, 50, 2)]
    assert is_caught(plans, "a gap in the events")


def test_call_that_runs_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start_over(self: Any) -> None:
        for call in self._job.turn:
            call.started = False
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(ToolExecutor, "_answer_interrupted", start_over)
    plans = [plan for plan in cancel_points(reference_job) if "tool-executor" in str(plan)]
    assert is_caught(plans[::SAMPLE], "started 2 times")


def never_revoke_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the orchestrator accept requests after the report, which would otherwise be refused."""
    handle = SimulatedOrchestrator.handle_async_request

    async def never_revoked(self: SimulatedOrchestrator, request: Request) -> Response:
        self.revoked = False
        return await handle(self, request)

    monkeypatch.setattr(SimulatedOrchestrator, "handle_async_request", never_revoked)


def test_second_report_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    report_once = OrchestratorClient.report

    async def report_twice(self: OrchestratorClient, report: wire.CompletionReport, delivery: ReportDelivery) -> None:
        await report_once(self, report, delivery)
        await report_once(self, report, delivery)

    monkeypatch.setattr(OrchestratorClient, "report", report_twice)
    never_revoke_the_token(monkeypatch)
    assert is_caught([Plan(0)], "2 reports were accepted")


def test_event_after_the_report_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def report_first(self: Any) -> None:
        while self._job.outbox:
            if self._job.outbox_sealed and not self._job.report_accepted:
                await self._report()
            post = self._job.outbox[0]
            await self._client.post(post.path, msgspec.json.encode(post.body))
            self._job.commit(EventDelivered())

    monkeypatch.setattr(EventShipper, "_drain", report_first)
    never_revoke_the_token(monkeypatch)
    assert is_caught([Plan(0)], "succeeded after the report")


def test_swallowed_cancel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = RunningJob._executor  # pyright: ignore[reportPrivateUsage] - patched below

    async def swallow_cancel(self: RunningJob) -> None:
        try:
            await execute(self)
        except* trio.Cancelled:
            pass

    monkeypatch.setattr(RunningJob, "_executor", swallow_cancel)
    plans = [plan for plan in cancel_points(reference_job) if "tool-executor" in str(plan)]
    assert is_caught(plans[::SAMPLE], "Execution timed out")


def test_task_that_outlives_the_job_is_caught() -> None:
    class Spawner(Probe):
        async def run(self, parameters: Any, context: ToolContext) -> object:
            trio.lowlevel.spawn_system_task(trio.sleep, 3600)
            return await super().run(parameters, context)

    assert "tasks still running" in problem_of(Plan(), lambda: reference_job([Spawner(Log())]))


def test_missing_sync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_sync(self: Job) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Job, "sync", no_sync)
    plans = [Plan(seed, (Kill(20 + seed, 100, power=True),)) for seed in range(0, 60, 2)]
    assert is_caught(plans)


def test_prompt_lost_by_a_cancel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def unshielded(_: JobScopes, timeout: float) -> trio.CancelScope:
        return trio.CancelScope()

    monkeypatch.setattr(JobScopes, "poll", unshielded)
    plans = [plan for plan in cancel_points(reference_job) if "prompt-poller" in str(plan)]
    assert is_caught(plans, "the follow-up 'Keep the tabs, too.' was lost")


def test_missing_retry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    send = RetryingSender.send

    async def send_once(
        self: RetryingSender, method: str, path: str, limits: RequestLimits, *more: Any, **named: Any
    ) -> Any:
        return await send(self, method, path, msgspec.structs.replace(limits, attempts=1), *more, **named)

    monkeypatch.setattr(RetryingSender, "send", send_once)
    plans = [Plan(0, (Fault.reset_before(request=number),)) for number in range(10, 40, 3)]
    assert is_caught(plans)


def test_missing_restart_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = RunningJob._reasoner  # pyright: ignore[reportPrivateUsage] - patched below

    async def end_when_cancelled(self: RunningJob) -> None:
        try:
            await reason(self)
        except trio.Cancelled:
            return

    monkeypatch.setattr(RunningJob, "_reasoner", end_when_cancelled)
    assert is_caught([Plan(0, (Cancel("reasoner", 20),))])


def test_claim_of_a_report_that_was_not_accepted_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_the_signal_for_the_answer(self: RunningJob, reason: str) -> None:
        self.stop(reason)
        self.job.commit(ReportAccepted())

    monkeypatch.setattr(RunningJob, "stop_on_signal", take_the_signal_for_the_answer)
    assert is_caught([Plan(0, (Signal(9.0),))], "no report was accepted")


def test_superseded_worker_that_continues_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobScopes, "end_unreported", lambda _self, _error: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert is_caught([Plan(0, (Supersede(9.0),))])


def test_resumed_job_that_measures_time_by_the_wall_clock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_the_wall_clock(since: Moment, now: Moment, *, limit: float) -> float:
        return min(now.wall - since.wall, limit)

    monkeypatch.setattr(api, "elapsed", by_the_wall_clock)
    plans = [Plan(0, (Kill(40, 0, power=False), ClockJump(5.0, seconds))) for seconds in (1e9, -1e9)]
    assert is_caught(plans, "Execution timed out")


def test_shutdown_with_a_deadline_from_the_start_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    create = JobScopes.__init__

    def fixed(self: JobScopes, *, deadline: float, grace: float) -> None:
        create(self, deadline=deadline, grace=grace)
        self.shutdown.deadline = deadline + grace

    monkeypatch.setattr(JobScopes, "__init__", fixed)
    assert is_caught([Plan(0, (Freeze(9.0, 700.0),))], "no report was accepted")
