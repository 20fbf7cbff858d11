"""The simulated orchestrator: the answers of the contract, the model, and what a test can wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio

from support.tools import Log, Probe
from trioworker import SupersededError, open_job, run_job
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, Exchange, Fault, SimulatedOrchestrator, call, say

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import JobOutcome


async def run(orchestrator: SimulatedOrchestrator, workspace: Path, **options: Any) -> JobOutcome:
    return await run_job(orchestrator.config(workspace, **options), transport=orchestrator, tools=[Probe(Log())])


def client(orchestrator: SimulatedOrchestrator, *, token: str = "", job_id: str = "") -> httpx.AsyncClient:
    """A client for requests of one job."""
    return httpx.AsyncClient(
        transport=orchestrator,
        headers={"Authorization": f"Bearer {token or orchestrator.token}"},
        base_url=f"{orchestrator.url}/worker/{job_id or orchestrator.job_id}/",
    )


# Answers


async def test_answers_to_the_contracts_requests(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(title="Fix", description="Fix it.", credentials={"KEY": "value"})
    orchestrator.send_prompt("And the docs.", done=True)
    async with client(orchestrator) as caller:
        job, credentials, prompt, none = [await caller.get(path) for path in ("job", "credentials", "prompt", "prompt")]
        event = await caller.post("event", json={"event_type": "status", "data": {"seq": 0, "message": "m"}})
        report = await caller.post("complete", json={"success": True, "message": "m", "iterations": 1})
        refused = await caller.get("job")
    assert job.json() == {"title": "Fix", "description": "Fix it."}
    assert credentials.json() == [{"env_var": "KEY", "value": "value"}]
    assert prompt.json() == {"content": "And the docs.", "done": True}
    assert (none.status_code, none.content) == (204, b"")
    assert (event.status_code, report.json()) == (200, {"status": "ok"})
    assert orchestrator.of_type("status") == [{"seq": 0, "message": "m"}]
    assert orchestrator.reports == [{"success": True, "message": "m", "iterations": 1}]
    # The report revokes the token.
    assert refused.status_code == 401


async def test_wrong_token_job_path_and_size_are_refused(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator()
    async with client(orchestrator, token="wrong") as caller:
        assert (await caller.get("job")).status_code == 401
    async with client(orchestrator, job_id="another") as caller:
        assert (await caller.get("job")).status_code == 404
    async with client(orchestrator) as caller:
        assert (await caller.get("jobs")).status_code == 404
        assert (await caller.post("event", content=b" " * 2_097_153)).status_code == 413
    assert not any(exchange.handled for exchange in orchestrator.exchanges)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/health", b"", 200),
        ("POST", "/health", b"", 405),
        ("GET", "nothing", b"", 404),
        ("POST", "event", b'{"event_type": "status", "data": {"seq": 0}}', 200),
        ("POST", "event", b'{"event_type": "status", "data": {}}', 200),
        ("POST", "event", b'{"event_type": "status"}', 422),
        ("POST", "event", b"[]", 422),
        ("POST", "event", b"{", 400),
        ("POST", "event", b"", 400),
        ("POST", "status", b'{"state": "in_progress"}', 422),
        ("POST", "status", b"{", 400),
        ("POST", "complete", b"{}", 422),
        ("POST", "llm/complete", b"{}", 422),
        ("POST", "llm/complete_with_tools", b"{", 400),
        ("POST", "event", b" " * 2_097_153, 413),
        ("POST", "job", b"", 405),
        ("GET", "event", b"", 405),
    ],
)
async def test_status_is_that_of_the_embedded_orchestrator(
    method: str, path: str, content: bytes, status: int, autojump_clock: MockClock
) -> None:
    simulated = SimulatedOrchestrator()
    with Store() as store:
        job = store.create_job("Make the tests pass.", title="Fix")
        embedded = httpx.AsyncClient(
            transport=httpx.ASGITransport(make_app(store, NoBackend())),
            base_url=f"{simulated.url}/worker/{job.id}/",
            headers={"Authorization": f"Bearer {job.token}"},
        )
        for caller in (client(simulated), embedded):
            async with caller:
                url = simulated.url + path if path.startswith("/") else path
                assert (await caller.request(method, url, content=content)).status_code == status


async def test_repeated_event_is_kept_once(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator()
    async with client(orchestrator) as caller:
        for seq in (0, 1, 0):
            await caller.post("event", json={"event_type": "status", "data": {"seq": seq}})
    assert [event["data"]["seq"] for event in orchestrator.events] == [0, 1]


async def test_sent_request_is_handled_although_the_worker_is_cancelled(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(latency=2.0)
    async with client(orchestrator) as caller:
        with trio.move_on_after(0.5):
            await caller.post("complete", json={"success": True, "message": "m", "iterations": 1})
    (exchange,) = orchestrator.exchanges
    assert (exchange.handled, exchange.status) == (True, None)
    assert len(orchestrator.reports) == 1


# Jobs


async def test_job_runs_its_script_and_ends(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    orchestrator = SimulatedOrchestrator([call("probe", text="a"), say("It is done. The job is complete.")])
    outcome = await run_job(orchestrator.config(workspace), transport=orchestrator, tools=[Probe(log)])
    assert outcome.success
    assert log.texts == ["a"]
    assert orchestrator.reports[0]["message"] == "It is done. The job is complete."
    assert len(orchestrator.conversations()) == 2


async def test_latency_and_thinking_are_seconds(workspace: Path, autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator([say("The job is complete.", delay=4.0)], latency=0.5, thinking=10.0)
    outcome = await run(orchestrator, workspace)
    assert outcome.metrics.llm_seconds == pytest.approx(14.5, abs=0.01)  # pyright: ignore[reportUnknownMemberType]


async def test_job_that_outlasts_its_script_fails_and_says_so(workspace: Path, autojump_clock: MockClock) -> None:
    outcome = await run(SimulatedOrchestrator([call("probe")]), workspace)
    assert outcome.status == "failed"
    assert outcome.message == (
        "Execution failed: the script has no turn 2: the job continued after its 1; "
        "end the job in the last turn with 'The job is complete.'"
    )


async def test_unmet_expectation_fails_the_job_and_quotes_it(workspace: Path, autojump_clock: MockClock) -> None:
    turns = [call("probe", text="left"), say("The job is complete.", expect='"did": "right"')]
    outcome = await run(SimulatedOrchestrator(turns), workspace)
    assert outcome.message.startswith('Execution failed: turn 2 of the script expects /"did": "right"/')


async def test_follow_up_reaches_the_model(workspace: Path, autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator([call("probe", seconds=5), DONE])
    async with open_job(orchestrator.config(workspace), transport=orchestrator, tools=[Probe(Log())]) as job:
        await orchestrator.received("llm")
        orchestrator.send_prompt("Keep the tabs.")
        await job.wait()
    assert {"role": "user", "content": "Keep the tabs."} in orchestrator.conversations()[-1]
    assert not orchestrator.prompts


async def test_superseded_start_is_refused_and_the_next_one_admitted(
    workspace: Path, autojump_clock: MockClock
) -> None:
    orchestrator = SimulatedOrchestrator([call("probe", seconds=5), DONE])

    async def run_superseded() -> None:
        async with open_job(orchestrator.config(workspace), transport=orchestrator, tools=[Probe(Log())]) as job:
            await orchestrator.received("llm")
            orchestrator.supersede()
            await job.wait()

    with pytest.raises(SupersededError):
        await run_superseded()
    assert 409 in [exchange.status for exchange in orchestrator.exchanges]
    assert orchestrator.reports == []
    assert (await run(orchestrator, workspace)).success


async def test_options_of_the_configuration_are_passed_on(workspace: Path) -> None:
    config = SimulatedOrchestrator().config(workspace, timeout=60)
    assert (config.timeout, config.workspace, config.job_id) == (60, workspace, SimulatedOrchestrator.job_id)


async def test_model_can_be_replaced(workspace: Path, autojump_clock: MockClock) -> None:
    class Shouting(SimulatedOrchestrator):
        async def think(self, exchange: Exchange) -> tuple[int, bytes]:
            status, content = await super().think(exchange)
            return status, content.upper().replace(b'"CONTENT"', b'"content"')

    outcome = await run(Shouting([say("The job is complete.")]), workspace)
    assert outcome.message == "THE JOB IS COMPLETE."


# Waiting


async def test_received_waits_for_the_request_and_returns_it(workspace: Path, autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator([call("probe", seconds=30), DONE])
    async with open_job(orchestrator.config(workspace), transport=orchestrator, tools=[Probe(Log())]) as job:
        second = await orchestrator.received("llm", 2)
        assert trio.current_time() == second.at > 30
        assert second.status is None
        assert await orchestrator.received("job") is orchestrator.exchanges[0]
        await job.wait()
    assert second.status == 200
    assert orchestrator.asked("llm") == [await orchestrator.received("llm"), second]


async def test_received_is_a_checkpoint_and_can_time_out(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator()
    with pytest.raises(trio.TooSlowError), trio.fail_after(7):
        await orchestrator.received("complete")
    assert trio.current_time() == 7
    async with client(orchestrator) as caller:
        await caller.get("job")
    with trio.testing.assert_checkpoints():
        await orchestrator.received("job")


async def test_received_counts_from_one() -> None:
    with pytest.raises(ValueError, match="received: count 0 is not 1 or more"):
        await SimulatedOrchestrator().received("job", 0)


# Exchanges


async def test_exchange_has_the_request_and_a_short_repr(autojump_clock: MockClock) -> None:
    orchestrator = SimulatedOrchestrator(faults=[Fault.reset_after(path="complete")])
    event = {"event_type": "status", "data": {"seq": 0, "message": "m" * 200}}
    async with client(orchestrator) as caller:
        await caller.get("job", headers={"X-Test": "1"})
        await trio.sleep(2.5)
        await caller.post("event", json=event)
        with pytest.raises(httpx.ReadError):
            await caller.post("complete", json={"success": True})
    job, posted, report = orchestrator.exchanges
    assert (job.method, job.path, job.body, job.headers["x-test"], job.at) == ("GET", "job", None, "1", 0)
    assert (posted.body, msgspec.json.decode(posted.content), posted.at) == (event, event, 2.5)
    assert posted.is_to("event")
    assert not posted.is_for_the_model
    assert repr(job) == "<GET job at 0.000 s: 200>"
    assert repr(posted).startswith('<POST event {"event_type":"status","data":{"seq":0,"message":"mmm')
    assert repr(posted).endswith("mm… at 2.500 s: 200>")
    assert repr(report) == "<POST complete {\"success\":true} at 2.500 s: Fault.reset_after(path='complete')>"
    assert orchestrator.token not in repr(orchestrator.exchanges)
