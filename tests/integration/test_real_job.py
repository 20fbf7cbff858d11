"""Jobs from start to end: the real worker, the real orchestrator, a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.fault_proxy import fault_proxy
from support.program import until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call, reply, say

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration


async def test_job_of_three_tools_changes_files_and_is_reported(store: Store, workspace: Path) -> None:
    (workspace / "parser.py").write_text("def parse():\n    return 1\n")
    turns = [
        reply(call("read_file", path="parser.py"), text="Looking at it."),
        call("apply_patch", path="parser.py", old_string="return 1", new_string="return 2"),
        call("shell", command="python3 -c 'import parser as p; print(p.parse())' && echo ok > ran.txt"),
        DONE,
    ]
    async with real_job(store, workspace, turns, FOO="granted-value") as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert (workspace / "parser.py").read_text() == "def parse():\n    return 2\n"
    assert (workspace / "ran.txt").read_text() == "ok\n"
    outcome = ended.outcome
    assert (outcome["status"], outcome["success"], outcome["iterations"]) == ("completed", True, 4)
    assert outcome["reported"]
    assert [kind for kind, _ in job.events] == [
        "status",
        "message",
        *["tool_use", "tool_result"] * 3,
        "message",
        "result",
    ]
    assert [data["seq"] for _, data in job.events] == list(range(len(job.events)))
    assert [data["tool_name"] for data in job.of_type("tool_use")] == ["read_file", "apply_patch", "shell"]
    assert all(data["success"] for data in job.of_type("tool_result"))
    (result,) = job.of_type("result")
    assert (result["status"], result["success"], result["iterations"]) == ("completed", True, 4)
    assert job.view.state == "completed"
    assert (job.report.success, job.report.iterations) == (True, 4)
    assert job.report.message == DONE.content
    assert job.orchestrator.requests[-1] == ("POST", "complete")
    assert {path for _, path in job.orchestrator.requests[:2]} == {"job", "credentials"}
    posts = [path for _, path in job.orchestrator.requests if path in {"status", "event", "complete"}]
    assert posts[0] == "status"


async def test_conversation_has_the_order_that_providers_require(store: Store, workspace: Path) -> None:
    turns = [reply(call("list_dir"), call("glob", pattern="*")), say("Half of it is done."), DONE]
    async with real_job(store, workspace, turns) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    messages = job.model.requests[-1].messages
    assert [message.role for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert [call.id for call in messages[2].tool_calls or ()] == [message.tool_call_id for message in messages[3:5]]


async def test_follow_up_joins_the_running_job(store: Store, workspace: Path) -> None:
    turns = [call("shell", command="while [ ! -e go ]; do sleep 0.05; done"), DONE]
    async with real_job(store, workspace, turns) as job:
        await job.until_event("tool_use")
        polls = job.orchestrator.requests.count(("GET", "prompt"))
        job.add_prompt("Run the tests as well.")
        await until_polled_again(job.orchestrator.requests, polls)
        (workspace / "go").touch()
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert job.model.received("user")[-1] == "Run the tests as well."
    assert {"role": "user", "content": "Run the tests as well."}.items() <= job.of_type("message")[0].items()


async def until_polled_again(requests: list[tuple[str, str]], polls: int) -> None:
    """Wait until a poll after the first `polls` was answered: when one more has started."""
    await until(lambda: requests.count(("GET", "prompt")) >= polls + 2)


async def test_job_fails_after_max_iterations(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [call("list_dir")] * 4, "--max-iterations", "3") as job:
        ended = await job.ended()

    assert ended.code == 1
    assert job.report.message == "Execution failed: max iterations (3) exceeded"
    assert job.report.iterations == ended.outcome["iterations"] == 3
    # The last request asks for the report.
    assert len(job.model.requests) == 4


async def test_two_phase_requests_tool_calls_first_and_then_a_response(store: Store, workspace: Path) -> None:
    turns = [call("write_file", path="a.txt", content="a"), DONE]
    async with real_job(store, workspace, turns, "--reasoning", "two-phase") as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert (workspace / "a.txt").read_text() == "a"
    limits = [(request.max_tokens, request.temperature) for request in job.model.requests]
    assert limits == [(1024, None), (1024, None), (16_384, 0.7)]


async def test_connections_that_close_after_each_response_lose_no_event(store: Store, workspace: Path) -> None:
    turns = [call("list_dir"), call("glob", pattern="*"), DONE]
    async with (
        real_orchestrator(store, turns) as orchestrator,
        fault_proxy(orchestrator.url, keep_alive=False) as proxy,
        real_worker(orchestrator, workspace, url=proxy.url) as job,
    ):
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert proxy.connections == len(orchestrator.requests)
    assert [data["seq"] for _, data in job.events] == list(range(len(job.events)))
    assert ended.outcome["metrics"]["events_lost"] == 0
