"""The first requests of a job: what they fetch, and the ways in which they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.identity import TOKEN
from trioworker import RefusedError, UnreachableError, open_job, run_job
from trioworker.protocol import wire
from trioworker.testing import Fault, SimulatedOrchestrator
from trioworker.worker.bootstrap import FetchedJob, bootstrap
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.client.orchestrator_client import OrchestratorClient
from trioworker.worker.clocks import Moment
from trioworker.worker.state.job import Job

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def bootstrap_job(world: SimulatedOrchestrator, workspace: Path, stop: StopRequest | None = None) -> FetchedJob:
    async with OrchestratorClient(world.config(workspace), transport=world) as client:
        return await bootstrap(client, Job(), stop or StopRequest())


async def test_credentials_are_fetched_once_the_job_was_granted(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(credentials={"DEPLOY_KEY": "value-of-a-key"}, latency=4)
    fetched = await bootstrap_job(world, workspace)
    assert fetched.description == wire.JobDescription(title=world.title, description=world.description)
    assert fetched.credentials == (wire.Credential(env_var="DEPLOY_KEY", value="value-of-a-key"),)
    assert fetched.failure == ""
    assert [exchange.path for exchange in world.exchanges] == ["job", "credentials"]
    assert world.exchanges[1].at == pytest.approx(4)


async def test_job_may_have_no_credentials(workspace: Path, autojump_clock: MockClock) -> None:
    assert (await bootstrap_job(SimulatedOrchestrator(), workspace)).credentials == ()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_refused_job_raises_without_a_request_for_credentials(
    status: int, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(faults=[Fault.status(status, path="job")])
    with pytest.raises(RefusedError) as caught:
        await bootstrap_job(world, workspace)
    assert caught.value.status == status
    assert [exchange.path for exchange in world.exchanges] == ["job"]


async def test_unreachable_orchestrator_raises_after_a_minute(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.refused()])
    with pytest.raises(UnreachableError, match=r"GET .*/job: cannot connect"):
        await bootstrap_job(world, workspace)
    assert trio.current_time() == pytest.approx(60)


async def test_orchestrator_that_starts_late_is_retried(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator()
    world.fault = lambda _: Fault.refused() if trio.current_time() < 20 else None
    assert (await bootstrap_job(world, workspace)).description.title == world.title


async def test_malformed_job_is_a_failure_with_the_reason(workspace: Path, autojump_clock: MockClock) -> None:
    fetched = await bootstrap_job(SimulatedOrchestrator(faults=[Fault.garbage(path="job")]), workspace)
    assert fetched.failure.startswith("GET job: 200 with a body")


@pytest.mark.parametrize(
    "fault", [Fault.garbage(path="credentials"), Fault.status(403, path="credentials")], ids=lambda one: one.kind
)
async def test_unavailable_credentials_fail_the_job_and_are_reported(
    fault: Fault, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(credentials={"A": "some-value"}, faults=[fault])
    outcome = await run_job(world.config(workspace), transport=world)
    assert outcome.status == "failed"
    assert "credentials" in outcome.message
    assert world.reports == [{"success": False, "message": outcome.message, "iterations": 0}]
    assert world.conversations() == []


async def test_stop_request_cancels_the_bootstrap_and_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.delay(10, path="job")])
    stop = StopRequest()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await trio.sleep(2)
            stop.request("stopped by SIGTERM")
            stop.request("stopped by SIGINT")

        outcome = await run_job(world.config(workspace), transport=world, stop=stop)
    assert outcome.status == "cancelled"
    assert outcome.message == "Execution stopped: stopped by SIGTERM"
    assert trio.current_time() < 3
    assert [report["success"] for report in world.reports] == [False]


class Requests:
    """A job that keeps the requests that it gets."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def stop_on_signal(self, reason: str) -> None:
        self.reasons.append(reason)

    def suspend(self, reason: str) -> None:
        self.reasons.append(f"suspend: {reason}")


def test_job_gets_an_earlier_stop_request_at_once_and_each_later_one() -> None:
    stop, job = StopRequest(), Requests()
    stop.request("first")
    stop.pass_to(job)
    stop.request("second")
    stop.suspend("third")
    assert job.reasons == ["first", "second", "suspend: third"]
    assert stop.reason == "first"


async def test_conversation_starts_with_the_system_message_and_the_job(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    async with open_job(world.config(workspace), transport=world, clocks=lambda: Moment(86_400.0 * 365)) as running:
        await running.wait()
    system, user = world.conversations()[0]
    assert system["role"] == "system"
    assert user == {"role": "user", "content": f"{world.title}\n\n{world.description}"}
    assert world.description not in system["content"]
    assert f"Workspace: {workspace}." in system["content"]
    assert "Date: 1971-01-01." in system["content"]
    assert TOKEN not in system["content"]
    first = world.asked("status")[0].body
    assert first == {"state": "in_progress", "message": "Worker started, beginning execution", "iteration": 0}


async def test_open_job_yields_as_soon_as_the_job_was_fetched(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator()
    async with open_job(world.config(workspace), transport=world) as running:
        assert running.job.title == world.title
        assert set(running.actors) == {"prompt-poller", "reasoner", "tool-executor", "event-shipper"}
        assert (await running.wait()).success


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_refused_job_raises_without_a_retry_or_a_report(
    status: int, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(faults=[Fault.status(status, path="job")])
    began = trio.current_time()
    with pytest.raises(RefusedError, match=str(status)):
        await run_job(world.config(workspace), transport=world, tools=[])
    assert trio.current_time() - began < 1
    assert world.reports == []


async def test_unreachable_orchestrator_fails_the_run_after_a_minute(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(faults=[Fault.refused()])
    began = trio.current_time()
    with pytest.raises(UnreachableError, match="cannot connect"):
        await run_job(world.config(workspace), transport=world, tools=[])
    assert trio.current_time() - began == pytest.approx(60, abs=6)  # pyright: ignore[reportUnknownMemberType]


async def test_malformed_job_fails_and_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.garbage(path="job")])
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.status == "failed"
    assert "GET job" in world.reports[0]["message"]
    assert "200" in world.reports[0]["message"]


async def test_bad_request_for_credentials_fails_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.status(400, path="credentials")])
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert "credentials" in world.reports[0]["message"]
    assert not outcome.success


async def test_stop_while_the_orchestrator_is_unreachable_is_reported_later(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(latency=0.1)
    world.fault = lambda x: Fault.refused() if x.at < 3 else None
    stop = StopRequest()
    outcomes: list[str] = []

    async def run() -> None:
        outcome = await run_job(world.config(workspace), transport=world, tools=[], stop=stop)
        outcomes.append(outcome.status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(2)
        stop.request("stopped by SIGTERM")
    assert outcomes == ["cancelled"]
    assert world.reports[0]["message"] == "Execution stopped: stopped by SIGTERM"
