"""Cassettes of the real program: recorded over real HTTP against a live model server, replayed without either."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from orchestrator.backends.test_openai import Server, completion
from orchestrator.serving import serving
from support.fleets import open_orchestrator
from support.program import ran
from support.wiretap import ModelRequest, Wiretap, WiretapMiddleware
from trioworker import WorkerConfig, open_job
from trioworker.cassette import Replay, load_cassette
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.openai import OpenAIBackend
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from starlette.responses import Response

pytestmark = pytest.mark.integration

CASSETTES = Path(__file__).parents[1] / "cassettes"
TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"


def calling(number: int, name: str, **arguments: object) -> Response:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return completion({"content": f"Step {number}.", "tool_calls": [call]}, "tool_calls")


async def test_job_recorded_against_a_live_server_replays_offline(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (workspace / "a.txt").write_text("hello\n")
    model = Server(
        calling(1, "read_file", path="a.txt"),
        calling(2, "shell", command="date +%N; echo $RANDOM; pwd; sleep 1.5"),
        calling(3, "write_file", path="b.txt", content="bye\n"),
        calling(4, "shell", command="exit 3"),
        completion({"content": "All done. The job is complete."}),
    )
    sent: list[ModelRequest] = []
    path = workspace.parent / "job.jsonl"
    with Store() as store:
        job = store.create_job("Do some steps.", title="Steps", project_dir=str(workspace))
        store.add_prompt(job.id, Prompt(content="Mind the gap."))
        async with serving(model.app()) as models:
            backend = OpenAIBackend(f"{models}/v1", "m")
            app = make_app(store, backend)
            app.add_middleware(WiretapMiddleware, requests=sent)
            async with serving(app) as url:
                at = ("--job-id", job.id, "--orchestrator-url", url, "--workspace", str(workspace))
                ended = await ran("worker", *at, "--record", str(path), environment={TOKEN_VARIABLE: job.token})
            await backend.aclose()
    assert ended.code == 0, ended.err
    assert job.token not in path.read_text()

    # Neither server runs any more, and the workspace is a different one.
    elsewhere = workspace.parent / "elsewhere"
    elsewhere.mkdir()
    player = Replay(load_cassette(path))
    tap = Wiretap(player.transport)
    async with open_job(
        player.config(elsewhere), transport=tap, tools=player.tools, machine=player.machine
    ) as replayed:
        outcome = await replayed.wait()

    player.check(outcome)
    assert len(sent) == 5
    assert tap.requests == sent
    assert any(b"Mind the gap." in body for _, body in sent)
    assert outcome.message == ended.outcome["message"]
    assert list(elsewhere.iterdir()) == []


async def test_local_records_and_replays(workspace: Path) -> None:
    script, path = workspace.parent / "turns.yaml", workspace.parent / "job.jsonl"
    script.write_text(
        "- tool_calls:\n  - {name: shell, arguments: {command: echo $RANDOM > made.txt; cat made.txt}}\n"
        "- content: The job is complete.\n  delay: 0.5\n"
    )
    at = ("--workspace", str(workspace))
    ended = await ran("local", "Make it.", *at, "--llm", f"script:{script}", "--record", str(path), "--json")
    assert ended.code == 0, ended.err
    (workspace / "made.txt").unlink()

    replayed = await ran("local", *at, "--llm", f"replay:{path}", "--virtual-time", "--json")
    assert replayed.code == 0, replayed.err
    assert not (workspace / "made.txt").exists()
    assert _events(replayed.out) == _events(ended.out)

    other = await ran("local", "Make another.", *at, "--llm", f"replay:{path}", "--virtual-time")
    assert other.code == 6
    assert "request 1 of 2 differs from the recorded one" in other.err
    assert "\n-Make it.\n+Make another.\n" in other.err


def _events(out: str) -> list[tuple[str, object]]:
    """The events, without their metrics."""
    events = [json.loads(line) for line in out.splitlines()]
    for event in events:
        event["data"].pop("metrics", None)
    return [(event["event_type"], event["data"]) for event in events]


@pytest.mark.parametrize(
    ("name", "code", "end"),
    [
        ("fix-a-bug", 0, "completed ("),
        ("a-call-that-keeps-failing", 1, "max iterations (7) exceeded"),
        ("out-of-time", 1, "Execution timed out"),
        ("stopped", 4, "stopped by SIGTERM"),
    ],
)
async def test_replay_exits_with_the_code_of_the_recorded_job(name: str, code: int, end: str, workspace: Path) -> None:
    cassette = str(CASSETTES / f"{name}.jsonl")
    ended = await ran("local", "--workspace", str(workspace), "--llm", f"replay:{cassette}", "--virtual-time")
    assert ended.code == code, ended.err
    assert end in ended.out


async def test_replay_takes_the_recorded_time_without_virtual_time(workspace: Path) -> None:
    at = ("local", "--workspace", str(workspace), "--llm", f"replay:{CASSETTES / 'follow-up.jsonl'}")
    ended = await ran(*at)
    recorded = sum(call.seconds for call in load_cassette(CASSETTES / "follow-up.jsonl").calls)
    assert ended.code == 0, ended.err
    assert ended.seconds > recorded > 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--llm", "replay:/no/such.jsonl"), "No such file or directory"),
        (("--llm", f"replay:{__file__}"), "is not a cassette"),
        (("--llm", "replay:"), "which cassette? Name a file"),
        (("--llm", "replay:x.jsonl", "--web"), "--web is for a live job"),
        (("x", "--llm", "script:x.yaml", "--virtual-time"), "--virtual-time is for --llm replay:CASSETTE"),
        (("--llm", "script:x.yaml"), "the task is missing"),
    ],
)
async def test_unusable_replay_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], expected: str, workspace: Path
) -> None:
    ended = await ran("local", "--workspace", str(workspace), *arguments)
    assert ended.code == 2
    assert expected in ended.complaint


async def test_nonsense_in_the_header_is_one_line_and_exit_code_2(workspace: Path) -> None:
    path = workspace.parent / "job.jsonl"
    recorded = (CASSETTES / "fix-a-bug.jsonl").read_text()
    path.write_text(re.sub(r'"orchestrator_url":"[^"]+"', '"orchestrator_url":"http://nonsense:port"', recorded))
    ended = await ran("local", "--workspace", str(workspace), "--llm", f"replay:{path}", "--log-level", "error")
    assert ended.code == 2
    assert "nonsense" in ended.complaint


async def test_cassette_of_a_killed_and_resumed_worker_replays(workspace: Path) -> None:
    script, path = workspace.parent / "turns.yaml", workspace.parent / "job.jsonl"
    deadly = "test -e ../killed || { touch ../killed; kill -9 $PPID; sleep 60; }; echo survived"
    turns = [
        {"tool_calls": [{"name": "shell", "arguments": {"command": "echo once"}}]},
        {"tool_calls": [{"name": "shell", "arguments": {"command": deadly}}]},
        {"content": "The job is complete."},
    ]
    script.write_bytes(msgspec.json.encode(turns))
    at = ("--workspace", str(workspace), "--state-dir", str(workspace.parent / "state"))
    # The sandbox would keep the command from killing the worker.
    unconfined = ("--containment", "off")
    ended = await ran("local", "Survive.", *at, *unconfined, "--llm", f"script:{script}", "--record", str(path))
    assert ended.code == 0, ended.err

    cassette = load_cassette(path)
    assert [call.outcome for call in cassette.calls][:2] == ["success", "interrupted"]
    with trio.fail_after(60):
        replayed = await ran("local", *at, "--llm", f"replay:{path}", "--virtual-time")
    assert replayed.code == 0, replayed.err


async def test_code_on_the_page_records_and_replays(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (CASSETTES.parents[1] / "docs" / "cassettes.md").read_text()
    shown: dict[str, Any] = {}
    exec("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)), shown)  # noqa: S102 - our page
    monkeypatch.chdir(workspace.parent)
    async with open_orchestrator() as orchestrator:
        job = orchestrator.store.create_job("Nothing to do.", title="Nothing")
        config = WorkerConfig(job_id=job.id, token=job.token, workspace=workspace, orchestrator_url=orchestrator.url)
        outcome = await shown["record"](config, Path("job.jsonl"))
    assert outcome.success
    await shown["test_job_is_unchanged"](workspace, None)
