"""Standard streams that are closed or that nobody reads, text that isn't UTF-8, and a user without a home."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import msgspec
import pytest
from starlette.responses import Response

from support.program import in_shell, is_running, ran, started, until
from support.realjob import real_job, real_orchestrator, real_worker
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

ALL_CLOSED, FULL = "<&- >&- 2>&-", ">/dev/full 2>/dev/full"
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
LATIN_1 = os.fsdecode(b"caf\xe9")


def local(workspace: Path, *options: str) -> tuple[str, ...]:
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode([call("shell", command="echo seen"), DONE]))
    state = str(workspace.parent / "state")
    return ("local", "x", "--workspace", str(workspace), "--llm", f"script:{script}", "--state-dir", state, *options)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ALL_CLOSED, FULL])
async def test_job_of_a_worker_with_closed_streams_completes(store: Store, workspace: Path, closed: str) -> None:
    turns = [call("shell", command="cat; echo seen"), DONE]
    async with (
        real_orchestrator(store, turns) as orchestrator,
        real_worker(orchestrator, workspace, prefix=in_shell(closed)) as job,
    ):
        ended = await job.ended()

    assert ended.code == 0, ended.err
    assert job.view.state == "completed"
    assert job.model.received("tool") == ["seen"]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("closed", ["<&-", ALL_CLOSED])
async def test_local_job_with_closed_streams_completes(workspace: Path, closed: str) -> None:
    ended = await ran(*local(workspace), prefix=in_shell(closed))

    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert ("\ncompleted (" in ended.out) == (">&-" not in closed.split())


@pytest.mark.parametrize(
    ("arguments", "code", "closed"),
    [
        (("worker",), 2, ALL_CLOSED),
        (("fleet", "/nonexistent"), 2, FULL),
        (("orchestrator", "--port", "x"), 2, "2>&-"),
        (("health", "--health-socket", "/nonexistent"), 1, ALL_CLOSED),
        (("--version",), 0, ALL_CLOSED),
        (("--version",), 0, FULL),
    ],
)
async def test_exit_code_does_not_depend_on_closed_streams(arguments: tuple[str, ...], code: int, closed: str) -> None:
    ended = await ran(*arguments, prefix=in_shell(closed))

    assert ended.code == code
    assert "Traceback" not in ended.err


async def test_log_that_nobody_reads_does_not_stop_the_job(store: Store, workspace: Path) -> None:
    async def refuse_events(_: str, path: str) -> Response | None:
        return Response("no " * 20_000, status_code=400) if path == "event" else None

    turns = [reply(*[call("list_dir")] * 20) for _ in range(8)]
    log = workspace.parent / "log"
    os.mkfifo(log)
    # Opened for reading, so that the worker can write until the pipe is full.
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with (
            real_orchestrator(store, [*turns, DONE]) as orchestrator,
            real_worker(
                orchestrator,
                workspace,
                "--log-level",
                "debug",
                prefix=in_shell('2>"$LOG"'),
                environment={"LOG": str(log)},
            ) as job,
        ):
            orchestrator.intervene = refuse_events
            ended = await job.ended()
    finally:
        os.close(reader)

    assert job.report.success
    assert ended.outcome["status"] == "completed"


async def test_result_that_nobody_reads_does_not_hang_the_worker(store: Store, workspace: Path) -> None:
    answer = msgspec.structs.replace(DONE, content=f"{'x' * 100_000}\nThe job is complete.")
    out = workspace.parent / "out"
    os.mkfifo(out)
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with (
            real_orchestrator(store, [answer]) as orchestrator,
            real_worker(orchestrator, workspace, prefix=in_shell('>"$OUT"'), environment={"OUT": str(out)}) as job,
        ):
            ended = await job.ended()
    finally:
        os.close(reader)

    assert ended.code == 0, ended.err


async def test_signal_ends_a_local_job_whose_output_nobody_reads(workspace: Path) -> None:
    (workspace / "long").write_text("x" * 190 + "\n")
    turns = [reply(*[call("shell", command="yes $(cat long) | head -20; touch last")] * 20) for _ in range(4)]
    command = local(workspace)
    (workspace.parent / "turns.json").write_bytes(msgspec.json.encode([*turns, DONE]))
    out = workspace.parent / "out"
    os.mkfifo(out)
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with started(*command, prefix=in_shell('>"$OUT"'), environment={"OUT": str(out)}) as program:
            state = workspace.parent / "state"
            await until(lambda: state.exists() and list(state.glob("*.journal")))
            # The journal is removed when the worker has ended, after the output was written or given up.
            worker = await _child(program.pid)
            await until(lambda: not is_running(worker))
            program.signal(signal.SIGINT)
            ended = await program.ended()
    finally:
        os.close(reader)

    assert ended.code == 0, ended.err


async def _child(pid: int) -> int:
    children: list[str] = []

    def found() -> list[str]:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children[:] = file.read().split()
        return children

    await until(found)
    return int(children[0])


@pytest.mark.parametrize("option", ["--title", "--workspace"])
async def test_option_that_is_not_utf8_is_one_line_and_exit_code_2(workspace: Path, option: str) -> None:
    name = str(workspace.parent / LATIN_1)
    os.mkdir(name)
    ended = await ran(*local(workspace, option, name))

    assert ended.code == 2
    assert ended.complaint.startswith(f"trioworker: {option}: '{ascii(name)[1:-1]}' is not valid UTF-8")


async def test_working_directory_that_is_not_utf8_is_one_line_and_exit_code_2(workspace: Path) -> None:
    os.mkdir(workspace / LATIN_1)
    prefix = in_shell("", f'cd "{workspace}"/caf*;')
    arguments = [argument for argument in local(workspace) if argument not in {"--workspace", str(workspace)}]
    ended = await ran(*arguments, prefix=prefix)

    assert ended.code == 2
    assert "--workspace" in ended.complaint


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
async def test_locale_without_utf8_completes_the_job(store: Store, workspace: Path, locale: dict[str, str]) -> None:
    answer = msgspec.structs.replace(DONE, content="Größe: 日本. The job is complete.")
    async with (
        real_orchestrator(store, [answer]) as orchestrator,
        real_worker(orchestrator, workspace, environment={**ASCII, **locale}) as job,
    ):
        ended = await job.ended()
        assert job.report.message == answer.content

    assert ended.code == 0, ended.err
    assert ended.outcome["message"] == answer.content


async def test_local_prints_in_a_locale_without_utf8(workspace: Path) -> None:
    ended = await ran(*local(workspace, "--title", "x"), environment=ASCII)

    assert ended.code == 0, ended.err
    assert "\ncompleted (" in ended.out


async def test_worker_without_a_home_completes_the_job(store: Store, workspace: Path) -> None:
    async with (
        real_orchestrator(store, [call("shell", command="cd && pwd"), DONE]) as orchestrator,
        real_worker(orchestrator, workspace, prefix=("env", "-u", "HOME")) as job,
    ):
        ended = await job.ended()

    assert ended.code == 0, ended.err


async def test_json_log_is_ascii(store: Store, workspace: Path) -> None:
    async with real_job(store, workspace, [DONE], "--log-format", "json") as job:
        ended = await job.ended()

    assert [json.loads(line)["level"] for line in ended.err.splitlines()][-1] == "info"
    assert ended.err.isascii()
