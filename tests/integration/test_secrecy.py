"""The token and the granted credentials appear in no tool, log or event; and the format of the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.program import TOKEN_VARIABLE, ran, until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

READ_ENVIRONMENTS = (
    "env > environment; cat /proc/self/environ > own; "
    # The worker, as its child sees it; unreadable if both run as the same unprivileged user.
    "cat /proc/$PPID/environ > parents 2>&1; cat /proc/$PPID/cmdline > arguments; "
    "echo started > started; while [ ! -e go ]; do sleep 0.05; done"
)


async def test_token_is_out_of_the_reach_of_tools(store: Store, workspace: Path) -> None:
    turns = [call("shell", command=READ_ENVIRONMENTS), DONE]
    async with real_job(store, workspace, turns, "--log-level", "debug") as job:
        await until((workspace / "started").exists)
        environment = _environment_of(job.program.pid)
        (workspace / "go").touch()
        ended = await job.ended()

    assert ended.code == 0, ended.err
    token = job.token.encode()
    for name in ("environment", "own", "parents", "arguments"):
        assert token not in (workspace / name).read_bytes(), name
    assert TOKEN_VARIABLE.encode() not in (workspace / "environment").read_bytes()
    assert token not in environment
    # The command line could be read, so the absence of the token means something.
    assert job.id.encode() in (workspace / "arguments").read_bytes()
    visible = "\n".join(
        [ended.out, ended.err, str(job.events), *job.model.received("tool"), *job.model.received("system")]
    )
    assert job.token not in visible


def _environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return b""


async def test_granted_credential_reaches_only_the_tool(store: Store, workspace: Path) -> None:
    value = "granted-value-4711-and-more"
    show = 'printf %s "$SERVICE_KEY" > seen; echo "key: $SERVICE_KEY"; echo "again: $SERVICE_KEY" >&2'
    turns = [reply(call("shell", command=show), call("read_file", path="seen")), DONE]
    async with real_job(store, workspace, turns, "--log-level", "debug", SERVICE_KEY=value) as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert (workspace / "seen").read_text() == value
    for result in job.model.received("tool"):
        assert value not in result
        assert "[REDACTED:granted_credential]" in result
    assert "key: [REDACTED:granted_credential]" in job.of_type("tool_result")[0]["output"]
    assert value not in "\n".join([ended.out, ended.err, str(job.events), str(job.report.message)])


async def test_tool_environment_has_only_listed_variables(store: Store, workspace: Path) -> None:
    async with real_orchestrator(store, [call("shell", command="env > environment"), DONE]) as orchestrator:
        secrets = {"AWS_SECRET_ACCESS_KEY": "s3cr3t", "DATABASE_URL": "postgres://u:p@h", "OPENAI_API_KEY": "sk-x"}
        async with real_worker(orchestrator, workspace, environment=secrets) as job:
            ended = await job.ended()

    assert ended.code == 0, ended.err
    lines = (workspace / "environment").read_text().splitlines()
    variables = {name: value for name, _, value in (line.partition("=") for line in lines)}
    assert not secrets.keys() & variables.keys()
    expected = {"CI": "1", "GIT_TERMINAL_PROMPT": "0", "DEBIAN_FRONTEND": "noninteractive", "PAGER": "cat"}
    assert expected.items() <= variables.items()
    assert "PATH" in variables


async def test_json_log_lines_can_be_parsed(store: Store, workspace: Path) -> None:
    turns = [call("read_file", path="no such file"), DONE]
    async with real_job(store, workspace, turns, "--log-format", "json", "--log-level", "debug") as job:
        ended = await job.ended()

    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert lines
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert any(job.id in line["message"] for line in lines)
    assert ended.outcome["status"] == "completed"


async def test_log_level_is_respected(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [DONE], "--log-level", "error") as job:
        ended = await job.ended()

    assert (ended.code, ended.err) == (0, "")


async def test_version_option_prints_the_version() -> None:
    ended = await ran("--version")
    assert ended.code == 0
    assert re.fullmatch(r"trioworker \d+\.\d+\.\d+\S*\n", ended.out)
