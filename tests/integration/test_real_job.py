"""Jobs from start to end: the real worker, the real orchestrator, a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.fault_proxy import fault_proxy
from support.program import until
from support.realjob import real_job, real_orchestrator, real_worker
from support.world import DONE, calling, saying

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration


async def test_a_job_of_three_tools_changes_files_and_is_told_as_the_contract_says(
    store: Store, workspace: Path
) -> None:
    (workspace / "parser.py").write_text("def parse():\n    return 1\n")
    turns = [
        calling(("read_file", {"path": "parser.py"}), content="I look."),
        calling(("apply_patch", {"path": "parser.py", "old_string": "return 1", "new_string": "return 2"})),
        calling(("shell", {"command": "python3 -c 'import parser as p; print(p.parse())' && echo ok > ran.txt"})),
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
    # The remembered output of the last tool, not the model's last words.
    assert '"exit_code": 0' in (job.report.message or "")
    assert job.orchestrator.requests[-1] == ("POST", "complete")
    assert {path for _, path in job.orchestrator.requests[:2]} == {"job", "credentials"}
    posts = [path for _, path in job.orchestrator.requests if path in {"status", "event", "complete"}]
    assert posts[0] == "status"


async def test_the_conversation_is_in_the_order_that_providers_demand(store: Store, workspace: Path) -> None:
    turns = [calling(("list_dir", {}), ("glob", {"pattern": "*"})), saying("Half of it is done."), DONE]
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


async def test_a_follow_up_joins_while_the_job_runs(store: Store, workspace: Path) -> None:
    turns = [calling(("shell", {"command": "while [ ! -e go ]; do sleep 0.05; done"})), DONE]
    async with real_job(store, workspace, turns) as job:
        await job.until_event("tool_use")
        polls = job.orchestrator.requests.count(("GET", "prompt"))
        job.add_prompt("Mind the tests as well.")
        await until_polled(job.orchestrator.requests, polls)
        (workspace / "go").touch()
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert job.model.received("user")[-1] == "Mind the tests as well."
    assert {"role": "user", "content": "Mind the tests as well."}.items() <= job.of_type("message")[0].items()


async def until_polled(requests: list[tuple[str, str]], polls: int) -> None:
    """Wait for a poll that began and was answered after the `polls` that were there: the second one from now."""
    await until(lambda: requests.count(("GET", "prompt")) >= polls + 2)


async def test_max_iterations_end_the_job(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [calling(("list_dir", {}))] * 4, "--max-iterations", "3") as job:
        ended = await job.ended()

    assert ended.code == 1
    assert job.report.message == "Execution failed: max iterations (3) exceeded"
    assert job.report.iterations == ended.outcome["iterations"] == 3
    assert len(job.model.requests) == 3


async def test_two_phase_asks_for_tools_first_and_for_a_response_after(store: Store, workspace: Path) -> None:
    turns = [calling(("write_file", {"path": "a.txt", "content": "a"})), DONE]
    async with real_job(store, workspace, turns, "--reasoning", "two-phase") as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert (workspace / "a.txt").read_text() == "a"
    asked = [(request.max_tokens, request.temperature) for request in job.model.requests]
    assert asked == [(1024, None), (1024, None), (4096, 0.7)]


async def test_an_orchestrator_that_closes_each_connection_after_its_answer_is_no_trouble(
    store: Store, workspace: Path
) -> None:
    turns = [calling(("list_dir", {})), calling(("glob", {"pattern": "*"})), DONE]
    async with (
        real_orchestrator(store, turns) as place,
        fault_proxy(place.url, keep_alive=False) as proxy,
        real_worker(place, workspace, url=proxy.url) as job,
    ):
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert proxy.connections == len(place.requests)
    assert [data["seq"] for _, data in job.events] == list(range(len(job.events)))
    assert ended.outcome["metrics"]["events_lost"] == 0
