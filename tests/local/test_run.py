"""`trioworker local` and `trioworker orchestrator` as a person starts them: real processes, real HTTP."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.integration

PATIENCE = 60.0
"""Seconds until a program that should have ended fails its test."""

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
        "mend it",
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
    """A program with pipes for all three streams, killed if the test fails."""
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
        out, err = program.communicate(stdin, timeout=PATIENCE)
        return program.returncode, out, err


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_job_is_shown_and_ends_with_the_workers_code(workspace: Path) -> None:
    code, out, err = run(command(workspace, LOOK + END))

    assert code == 0, err
    assert "agent: I look." in out
    assert "> list_dir: path=." in out
    assert "seen.txt" in out
    assert out.splitlines()[-1].startswith("completed (")


def test_json_lines_hold_every_event_in_order_and_nothing_else(workspace: Path) -> None:
    code, out, err = run(command(workspace, LOOK + END, "--json"))
    told = events(out)

    assert code == 0
    assert [event["data"]["seq"] for event in told] == list(range(len(told)))
    assert [event["event_type"] for event in told][-1] == "result"
    assert "completed (" in err


def test_a_script_that_is_used_up_fails_the_job_soon_and_says_why(workspace: Path) -> None:
    code, out, _ = run(command(workspace, LOOK))

    assert code == 1
    assert "the script has no turn 2" in out


def test_an_unmet_expectation_fails_the_job_and_names_the_turn(workspace: Path) -> None:
    code, out, _ = run(command(workspace, LOOK + "- content: The job is complete.\n  expect: absent.txt\n"))

    assert code == 1
    assert "turn 2 of the script expects /absent.txt/" in out


@pytest.mark.parametrize(
    ("turns", "options", "said"),
    [
        ("- contents: x\n", (), r"turns\.yaml:1: unknown key `contents`"),
        (END, ("--workspace", "/no/such/folder"), r"/no/such/folder"),
        (END, ("--llm", "openai:nowhere"), r"not a URL"),
        (END, ("--database", "/no/such/folder/x.db"), r"--database /no/such/folder/x\.db: No such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    workspace: Path, turns: str, options: tuple[str, ...], said: str
) -> None:
    code, out, err = run(command(workspace, turns, *options))

    assert (code, out) == (2, "")
    assert re.search(said, err)
    assert err.count("\n") == 1


def test_a_typed_line_is_a_follow_up_and_the_end_of_input_ends_nothing(workspace: Path) -> None:
    turns = "- content: Working.\n  delay: 2.5\n- content: The job is complete.\n  expect: also that\n"
    code, out, err = run(command(workspace, turns), stdin="also that\n")

    assert code == 0, out + err
    assert "you: also that" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_job_which_is_reported(workspace: Path, number: signal.Signals) -> None:
    with running(command(workspace, SLEEP + END)) as program:
        shown = _until(program, "> shell")
        program.send_signal(number)
        out, err = program.communicate(timeout=PATIENCE)

    assert program.returncode == 4, shown + out + err
    assert out.splitlines()[-1].startswith("cancelled (")
    assert _alive("sleep 50", workspace) == []


def test_a_second_signal_kills_and_leaves_nothing_behind(workspace: Path) -> None:
    # A tool that ignores SIGTERM keeps the worker's farewell busy.
    stubborn = "- tool_calls:\n  - {name: shell, arguments: {command: \"trap '' TERM; sleep 51; sleep 52\"}}\n"
    with running(command(workspace, stubborn + END)) as program:
        _until(program, "> shell")
        program.send_signal(signal.SIGTERM)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=PATIENCE)

    assert program.returncode in {4, 128 + signal.SIGKILL}
    assert _alive("sleep 5", workspace) == []


def test_killing_us_ends_the_worker_too(workspace: Path) -> None:
    with running(command(workspace, SLEEP + END, "--grace", "1")) as program:
        _until(program, "> shell")
        workers = _alive("trioworker\0worker", workspace)
        program.kill()
        program.communicate(timeout=PATIENCE)
    assert len(workers) == 1
    for pid in workers:
        _wait_for_end(pid)
    assert _alive("sleep\x0050", workspace) == []


def test_a_reader_that_goes_away_ends_the_job(workspace: Path) -> None:
    with running(command(workspace, LOOK + SLEEP + END)) as program:
        _until(program, "> list_dir")
        assert program.stdout is not None
        program.stdout.close()
        assert program.wait(timeout=PATIENCE) in {1, 4}


def test_no_output_of_ours_holds_the_token(workspace: Path) -> None:
    with running(
        command(workspace, SLEEP + END, "--log-level", "debug"), OPENAI_API_KEY="sk-not-for-workers"
    ) as program:
        shown = _until(program, "> shell")
        # A second one is the shell's process, which still has the worker's arguments between fork and exec.
        pid = min(_alive("trioworker\0worker", workspace))
        arguments = _read(pid, "cmdline")
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=PATIENCE)

    assert "token" not in arguments
    assert not re.search(r"\b[\w-]{43}\b", shown + out + err + arguments)


def test_the_orchestrator_alone_serves_a_job_until_it_is_stopped(workspace: Path, tmp_path: Path) -> None:
    script = tmp_path / "turns.yaml"
    script.write_text(LOOK + END)
    database = tmp_path / "jobs.db"
    unwrap_single_exception = [
        sys.executable,
        "-m",
        "trioworker",
        "orchestrator",
        "--port",
        "0",
        "--llm",
        f"script:{script}",
    ]
    with running([*unwrap_single_exception, "--database", str(database)]) as program:
        assert program.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", program.stderr.readline())
        assert found is not None
        url = found[0]
        job: dict[str, str] = httpx.post(f"{url}/jobs", json={"description": "mend it"}, trust_env=False).json()
        worker = [sys.executable, "-m", "trioworker", "worker", "--job-id", job["id"], "--orchestrator-url", url]
        code, _, err = run([*worker, "--workspace", str(workspace)], IRONCLAW_WORKER_TOKEN=job["token"])
        view = httpx.get(f"{url}/jobs/{job['id']}", trust_env=False).json()
        program.send_signal(signal.SIGTERM)
        out, _ = program.communicate(timeout=PATIENCE)

    assert code == 0, err
    assert view["state"] == "completed"
    assert (program.returncode, out) == (0, "")


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    unwrap_single_exception = [sys.executable, "-m", "trioworker", "orchestrator", "--port"]
    with running([*unwrap_single_exception, "0"]) as program:
        assert program.stderr is not None
        port = program.stderr.readline().rstrip().rpartition(":")[2]
        code, _, err = run([*unwrap_single_exception, port])

    assert code == 2
    assert re.search(r"\Atrioworker: cannot listen on 127\.0\.0\.1:\d+: Address already in use; [^\n]+\n\Z", err)


def _until(program: subprocess.Popen[str], text: str) -> str:
    """What the program prints until a line with `text`."""
    assert program.stdout is not None
    shown = ""
    for line in program.stdout:
        shown += line
        if text in line:
            return shown
    raise AssertionError(f"{text!r} never came:\n{shown}")


def _alive(what: str, workspace: Path) -> list[int]:
    """Processes whose command holds `what` and that belong to this test by folder or argument."""
    found: list[int] = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            line = _read(pid, "cmdline")
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if what.replace(" ", "\0") in line and (str(workspace) in line or folder == str(workspace)):
            found.append(pid)
    return found


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", errors="replace") as file:
        return file.read()


def _wait_for_end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], 15)[0], f"process {pid} outlived us"
    finally:
        os.close(pidfd)
