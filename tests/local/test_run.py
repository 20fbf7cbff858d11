"""`trioworker local` and `trioworker orchestrator` as real processes, over real HTTP."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from trioworker.cli.main import main
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.integration

EXIT_TIMEOUT = 60.0
"""Seconds in which a program must end."""

ORCHESTRATOR = (sys.executable, "-m", "trioworker", "orchestrator", "--port")

END = "- content: The job is complete.\n"
LOOK = "- content: I look.\n  tool_calls:\n  - {name: list_dir, arguments: {path: .}}\n"
SLEEP = "- tool_calls:\n  - {name: shell, arguments: {command: sleep 50}}\n"


def command(workspace: Path, turns: str, *options: str) -> list[str]:
    script = workspace.parent / "turns.yaml"
    script.write_text(turns)
    spec = f"script:{script}"
    return [
        sys.executable,
        "-m",
        "trioworker",
        "local",
        "fix it",
        "--workspace",
        str(workspace),
        "--llm",
        spec,
        *options,
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "seen.txt").write_text("x")
    return folder


@contextmanager
def running(arguments: list[str], **environment: str) -> Generator[subprocess.Popen[str]]:
    """A program with pipes for all three streams, killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment}
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def run(arguments: list[str], *, stdin: str | None = "", **environment: str) -> tuple[int, str, str]:
    with running(arguments, **environment) as program:
        out, err = program.communicate(stdin, timeout=EXIT_TIMEOUT)
        return program.returncode, out, err


def test_a_job_is_printed_and_returns_the_workers_exit_code(workspace: Path) -> None:
    code, out, err = run(command(workspace, LOOK + END))

    assert code == 0, err
    assert "agent: I look." in out
    assert "> list_dir: path=." in out
    assert "seen.txt" in out
    assert "\ncompleted (" in out
    assert out.endswith("\n\nseen.txt (1B)\n")


def test_a_script_without_further_turns_fails_the_job_with_the_reason(workspace: Path) -> None:
    code, out, _ = run(command(workspace, LOOK))

    assert code == 1
    assert "the script has no turn 2" in out


def test_an_unmet_expectation_fails_the_job_with_the_turn(workspace: Path) -> None:
    code, out, _ = run(command(workspace, LOOK + "- content: The job is complete.\n  expect: absent.txt\n"))

    assert code == 1
    assert "turn 2 of the script expects /absent.txt/" in out


@pytest.mark.parametrize(
    ("turns", "options", "message"),
    [
        ("- contents: x\n", (), r"turns\.yaml:1: unknown key `contents`"),
        (END, ("--workspace", "/no/such/folder"), r"/no/such/folder"),
        (END, ("--llm", "openai:nowhere"), r"not a URL"),
        (END, ("--state-dir", "/dev/null/state"), r"--state-dir /dev/null/state: Not a directory; use a folder"),
        (END, ("--resume", "abcdef"), r"--resume uses the text of the resumed job; leave out TEXT"),
    ],
)
def test_invalid_input_is_one_line_and_exit_code_2(
    workspace: Path, turns: str, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _python, _module, _name, *arguments = command(workspace, turns, *options)

    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(message, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_job_and_it_is_reported(workspace: Path, number: signal.Signals) -> None:
    with running(command(workspace, SLEEP + END)) as program:
        shown = _until(program, "> shell")
        program.send_signal(number)
        out, err = program.communicate(timeout=EXIT_TIMEOUT)

    assert program.returncode == 4, shown + out + err
    assert "\ncancelled (" in out
    assert out.splitlines()[-1].startswith("Execution stopped: ")
    assert _alive("sleep 50", workspace) == []


def test_a_second_signal_kills_all_processes(workspace: Path) -> None:
    # A tool that ignores SIGTERM prolongs the worker's shutdown.
    stubborn = "- tool_calls:\n  - {name: shell, arguments: {command: \"trap '' TERM; sleep 51; sleep 52\"}}\n"
    with running(command(workspace, stubborn + END)) as program:
        _until(program, "> shell")
        program.send_signal(signal.SIGTERM)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=EXIT_TIMEOUT)

    assert program.returncode in {4, 128 + signal.SIGKILL}
    assert _alive("sleep 5", workspace) == []


def test_killing_local_ends_the_worker(workspace: Path) -> None:
    with running(command(workspace, SLEEP + END, "--grace", "1")) as program:
        _until(program, "> shell")
        workers = _alive("trioworker\0worker", workspace)
        program.kill()
        program.communicate(timeout=EXIT_TIMEOUT)
    assert len(workers) == 1
    for pid in workers:
        _wait_for_end(pid)
    assert _alive("sleep\x0050", workspace) == []


def test_closing_stdout_stops_the_job(workspace: Path) -> None:
    with running(command(workspace, LOOK + SLEEP + END)) as program:
        _until(program, "> list_dir")
        assert program.stdout is not None
        program.stdout.close()
        assert program.wait(timeout=EXIT_TIMEOUT) in {1, 4}
        assert program.stderr is not None
        assert "trioworker: standard output: Broken pipe; stopping the job\n" in program.stderr.read()


def test_no_output_contains_the_token(workspace: Path) -> None:
    with running(
        command(workspace, SLEEP + END, "--log-level", "debug"), OPENAI_API_KEY="sk-not-for-workers"
    ) as program:
        shown = _until(program, "> shell")
        # A second match may be the shell's process, which has the worker's arguments between fork and exec.
        pid = min(_alive("trioworker\0worker", workspace))
        arguments = _read(pid, "cmdline")
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=EXIT_TIMEOUT)

    assert not re.search(r"\b[\w-]{43}\b", shown + out + err + arguments)


def test_the_orchestrator_serves_a_job_until_a_signal(workspace: Path, tmp_path: Path) -> None:
    script = tmp_path / "turns.yaml"
    script.write_text(LOOK + END)
    database = tmp_path / "jobs.db"
    orchestrator = [*ORCHESTRATOR, "0", "--llm", f"script:{script}", "--database", str(database)]
    with running(orchestrator) as program:
        assert program.stderr is not None
        listening, manage = program.stderr.readline(), program.stderr.readline()
        url = listening.rstrip().removeprefix("trioworker: listening on ")
        token = manage.rstrip().removeprefix(f"trioworker: manage and watch jobs at {url}/?token=")
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        job: dict[str, str] = client.post("/jobs", json={"description": "fix it"}).json()
        worker = [sys.executable, "-m", "trioworker", "worker", "--job-id", job["id"], "--orchestrator-url", url]
        code, _, err = run([*worker, "--workspace", str(workspace)], **{TOKEN_VARIABLE: job["token"]})
        view = client.get(f"/jobs/{job['id']}").json()
        client.close()
        program.send_signal(signal.SIGTERM)
        out, _ = program.communicate(timeout=EXIT_TIMEOUT)

    assert code == 0, err
    assert view["state"] == "completed"
    assert (program.returncode, out) == (0, "")


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with running([*ORCHESTRATOR, "0"]) as program:
        assert program.stderr is not None
        port = program.stderr.readline().rstrip().rpartition(":")[2]
        program.stderr.readline()
        assert program.stderr.readline().startswith("trioworker: no model: each request to the model fails")
        code, _, err = run([*ORCHESTRATOR, port])

    assert code == 2
    assert re.search(r"\Atrioworker: cannot listen on 127\.0\.0\.1:\d+: Address already in use; [^\n]+\n\Z", err)


def _until(program: subprocess.Popen[str], text: str) -> str:
    """The program's output up to the first line with `text`."""
    assert program.stdout is not None
    shown = ""
    for line in program.stdout:
        shown += line
        if text in line:
            return shown
    raise AssertionError(f"{text!r} was not printed:\n{shown}")


def _alive(command: str, workspace: Path) -> list[int]:
    """Processes of this test, by working directory or argument, whose command line contains `command`."""
    pids: list[int] = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            line = _read(pid, "cmdline")
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if command.replace(" ", "\0") in line and (str(workspace) in line or folder == str(workspace)):
            pids.append(pid)
    return pids


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", errors="replace") as file:
        return file.read()


def _wait_for_end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], 15)[0], f"process {pid} is still running"
    finally:
        os.close(pidfd)
