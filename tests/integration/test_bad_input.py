"""Bad input: one line on stderr, and the exit code for its cause."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
from starlette.responses import Response

from support.program import TOKEN_VARIABLE, ran, until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

JOB_ID = "00000000-0000-4000-8000-00000000000b"
NO_RETRY = 30.0
"""Seconds within which a refused worker has to end, even on a busy machine; with retries it would take 60 s."""


async def test_error_in_a_script_has_file_and_line(workspace: Path, tmp_path: Path) -> None:
    script = tmp_path / "turns.yaml"
    script.write_text("- content: I look.\n- tool_calls:\n  - name: shell\n    argument: {command: ls}\n")
    ended = await ran("local", "fix it", "--workspace", str(workspace), "--llm", f"script:{script}")

    assert ended.code == 2
    assert ended.complaint.startswith(f"trioworker: {script}:4: unknown key `argument`")


@pytest.mark.parametrize(
    ("token", "job_id", "status"),
    [("wrong", None, 401), (None, JOB_ID, 404)],
)
async def test_refused_job_is_exit_code_3_without_retries(
    store: Store, workspace: Path, token: str | None, job_id: str | None, status: int
) -> None:
    job = store.create_job("x", title="x")
    async with real_orchestrator(store) as place:
        at = ("--orchestrator-url", place.url, "--workspace", str(workspace), "--log-level", "error")
        ended = await ran("worker", "--job-id", job_id or job.id, *at, environment={TOKEN_VARIABLE: token or job.token})

    assert ended.code == 3
    assert f"GET {place.url}/worker/{job_id or job.id}/" in ended.complaint
    assert f"answered {status}" in ended.complaint
    assert {path for _, path in place.requests} <= {"job", "credentials"}
    assert len(place.requests) <= 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_refusal_is_not_retried(store: Store, workspace: Path, status: int) -> None:
    answered: list[float] = []

    async def refuse(_: str, path: str) -> Response | None:
        answered.append(trio.current_time())
        return Response("no", status_code=status)

    async with real_orchestrator(store) as place:
        place.intervene = refuse
        async with real_worker(place, workspace) as job:
            ended = await job.ended()
            over = trio.current_time()

    assert ended.code == 3, ended.err
    assert over - answered[0] < NO_RETRY
    assert len(answered) <= 2


async def test_unreachable_orchestrator_is_exit_code_3(workspace: Path) -> None:
    at = ("--job-id", JOB_ID, "--orchestrator-url", f"http://127.0.0.1:{_free_port()}")
    ended = await ran(
        "worker", *at, "--workspace", str(workspace), "--timeout", "1", environment={TOKEN_VARIABLE: "job-token"}
    )

    assert ended.code == 3
    assert "cannot connect" in ended.complaint
    assert "is the orchestrator up and its URL right?" in ended.complaint
    # The timeout of the job is shorter than the 60 s that the bootstrap may take.
    assert ended.seconds < 30


async def test_worker_waits_for_an_orchestrator_that_starts_late(store: Store, workspace: Path) -> None:
    job = store.create_job("x", title="x")
    at = ("--job-id", job.id, "--workspace", str(workspace))
    refused = 0

    async def too_early(_: str, __: str) -> Response | None:
        nonlocal refused
        refused += 1
        return Response("starting", status_code=503) if refused <= 4 else None

    async with real_orchestrator(store, [DONE]) as place:
        place.intervene = too_early
        ended = await ran("worker", *at, "--orchestrator-url", place.url, environment={TOKEN_VARIABLE: job.token})

    assert ended.code == 0, ended.err
    assert ended.outcome["metrics"]["retries"] >= 3


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("job", b"<html>busy</html>", ["GET job", "200", "malformed"]),
        ("job", b'{"title": "x"}', ["GET job", "200", "`description`"]),
        ("job", b'{"title": 1, "description": "x"}', ["GET job", "200", "$.title"]),
        ("credentials", b'[{"env_var": "A"}]', ["GET credentials", "200", "`value`"]),
        ("llm/complete_with_tools", b"", ["POST llm/complete_with_tools", "200", "truncated"]),
        ("llm/complete_with_tools", b"[5]", ["POST llm/complete_with_tools", "200", "Expected `object`, got `array`"]),
        ("llm/complete_with_tools", b"[" * 100_000, ["POST llm/complete_with_tools", "200"]),
    ],
)
async def test_malformed_reply_fails_the_job_with_request_and_field(
    store: Store, workspace: Path, path: str, body: bytes, expected: list[str]
) -> None:
    async def garble(_: str, asked: str) -> Response | None:
        return Response(body, media_type="application/json") if asked == path else None

    async with real_orchestrator(store, [DONE]) as place:
        place.intervene = garble
        async with real_worker(place, workspace) as job:
            ended = await job.ended()

    assert ended.code == 1, ended.err
    message = job.report.message or ""
    assert message.startswith("Execution failed: ")
    assert [part for part in expected if part not in message] == [], message
    assert job.of_type("result")[0]["message"] == message
    assert sum(asked == path for _, asked in place.requests) == 3


async def test_reply_that_was_malformed_once_is_requested_again(store: Store, workspace: Path) -> None:
    garbled: list[str] = []

    async def garble_once(_: str, path: str) -> Response | None:
        if path in garbled or path == "prompt":
            return None
        garbled.append(path)
        return Response(b"<html>busy</html>")

    async with real_orchestrator(store, [call("list_dir"), DONE]) as place:
        place.intervene = garble_once
        async with real_worker(place, workspace) as job:
            ended = await job.ended()

    assert ended.code == 0, ended.err
    assert {"job", "credentials", "llm/complete_with_tools"} <= set(garbled)


async def test_permanent_refusal_of_the_model_fails_the_job(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [call("list_dir")]) as job:
        ended = await job.ended()

    assert ended.code == 1
    assert "the script has no turn 2" in (job.report.message or "")


async def test_job_that_is_withdrawn_ends_unreported(store: Store, workspace: Path) -> None:
    async def refuse(_: str, __: str) -> Response | None:
        return Response("no such job", status_code=404)

    turns = [call("shell", command="touch began; while [ ! -e go ]; do sleep 0.05; done"), DONE]
    async with real_job(store, workspace, turns) as job:
        await until((workspace / "began").exists)
        job.orchestrator.intervene = refuse
        (workspace / "go").touch()
        ended = await job.ended()

        assert job.survivors() == {}
    assert ended.code == 5
    assert (ended.outcome["status"], ended.outcome["reported"]) == ("failed", False)
    assert "answered 404" in ended.outcome["message"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
