"""`trioworker local` in a real terminal: the live line, the line editor, signals, and the modes at the end."""

from __future__ import annotations

import re
import signal
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from support.pty_shell import in_terminal
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.testing import Turn

pytestmark = pytest.mark.integration

STEPS = reply(*(call("shell", command=f"sleep 0.3; echo step {number}") for number in range(1, 11)))
SLEEP = call("shell", command="sleep 60")


def local(workspace: Path, *turns: Turn) -> list[str]:
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode(turns))
    state = str(workspace.parent / "state")
    options = ("--workspace", str(workspace), "--state-dir", state, "--log-level", "info")
    return [sys.executable, "-m", "trioworker", "local", "'Fix it.'", "--llm", f"script:{script}", *options]


def test_a_follow_up_is_typed_while_output_arrives_and_the_terminal_is_restored(workspace: Path) -> None:
    with in_terminal() as (terminal, _):
        terminal.until(lambda rows: rows == ["shell>"])
        original = terminal.modes
        terminal.type(" ".join(local(workspace, STEPS, SLEEP)) + "\n")
        terminal.until_text("Ctrl-C stops the job; type a follow-up at any time, and send it with Enter")

        # Keys arrive in pieces, output in between.
        for number, piece in enumerate((b"and the dosc", b"\x1b[D", b"\x7f", b"\x1b[Cs \xc3", b"\xbc"), 1):
            terminal.until_text(f"  step {number}")
            terminal.type(piece)
        rows = terminal.until(lambda rows: rows[-1] == "> and the docs ü")
        assert re.fullmatch(r"(shell: sleep 0\.3; echo step \d+|waiting for the model) \d s · iteration 1", rows[-2])
        assert terminal.screen.cursor == len("> and the docs ü")
        assert not terminal.echoes

        terminal.resize(60)
        terminal.until_text("  step 6")
        terminal.until(lambda rows: rows[-1] == "> and the docs ü")
        terminal.type("\r")
        terminal.until_text("● you          and the docs ü")
        terminal.until(lambda rows: rows[-2].startswith("shell: sleep 60 "))

        terminal.type("draft")
        terminal.until(lambda rows: rows[-1] == "> draft")
        terminal.type(b"\x1a")
        rows = terminal.until(lambda rows: rows[-1] == "shell>")
        assert [row for row in rows if "Stopped" in row]
        assert not [row for row in rows if row.startswith(("shell: sleep", "> "))]
        assert terminal.modes == original
        terminal.type("fg\n")
        terminal.until(lambda rows: rows[-1] == "> draft" and rows[-2].startswith("shell: sleep 60 "))
        assert not terminal.echoes

        terminal.type(b"\x03")
        terminal.until_text("cancelled (")
        terminal.type("echo code=$?\n")
        rows = terminal.until_text("code=4")
        assert terminal.modes == original
        assert terminal.received.rindex(b"\x1b[?2004l") > terminal.received.rindex(b"\x1b[?2004h")

    assert "trioworker: stopping; press Ctrl-C again to kill" in rows
    assert "trioworker: not sent, since the job has ended: draft" in rows
    assert not [row for row in rows if row.startswith(("shell: sleep", "waiting", "stopping", "> "))]
    # Each record of the worker's log begins a line.
    assert [row for row in rows if re.match(r"\d{4}-\d\d-\d\dT\S+ INFO ", row)]
    assert not [row for row in rows if re.search(r".\d{4}-\d\d-\d\dT\S+ INFO", row)]


def test_sigterm_restores_the_terminal(workspace: Path) -> None:
    command = [word.strip("'") for word in local(workspace, SLEEP)]
    with in_terminal(*command) as (terminal, process):
        original = terminal.modes
        terminal.until(lambda rows: rows[-2:-1] and rows[-2].startswith("shell: sleep 60 "))
        assert not terminal.echoes
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 4
        assert terminal.modes == original


FAILING = """
import sys, trio
from trioworker.cli.standard_streams import open_standard_streams
from trioworker.local.activity import Activity
from trioworker.local.terminal.opening import open_terminal

async def main():
    entered = trio.Event()
    send = lambda text: entered.set()
    async with open_terminal(Activity(0), send, json_lines=False, read_pipe=False) as terminal:
        await entered.wait()
        raise ValueError("a defect")

open_standard_streams()
try:
    trio.run(main)
except ValueError:
    print("failed")
sys.stdout.drain()
"""


def test_an_exception_restores_the_terminal() -> None:
    with in_terminal(sys.executable, "-c", FAILING) as (terminal, process):
        original = terminal.modes
        terminal.until(lambda rows: rows and rows[-1] == ">")
        assert not terminal.echoes
        terminal.type("fail\r")
        rows = terminal.until_text("failed")
        assert process.wait(timeout=30) == 0
        assert terminal.modes == original
    assert ">" not in rows


def test_a_background_job_leaves_the_terminal_alone(workspace: Path) -> None:
    with in_terminal() as (terminal, _):
        terminal.until(lambda rows: rows == ["shell>"])
        original = terminal.modes
        terminal.type(" ".join(local(workspace, DONE)) + " &\n")
        rows = terminal.until_text("completed (")
        assert terminal.modes == original
        assert b"\x1b[?2004h" not in terminal.received
        terminal.type("echo still here\n")
        terminal.until(lambda rows: "still here" in rows)
    assert not [row for row in rows if row.startswith(("Ctrl-C", "waiting"))]


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "dumb"])
def test_json_and_dumb_terminals_get_plain_lines(workspace: Path, options: tuple[str, ...]) -> None:
    command = [word.strip("'") for word in local(workspace, DONE)]
    environment = {} if options else {"TERM": "dumb"}
    with in_terminal(*command, *options, environment=environment) as (terminal, process):
        original = terminal.modes
        terminal.until_text("completed (")
        assert terminal.modes == original
        assert b"\x1b" not in terminal.received
        process.wait(timeout=30)


def test_a_terminal_that_is_stopped_does_not_stop_the_job(workspace: Path) -> None:
    done = workspace / "done"
    work = call("shell", command=f"echo x > {done}")
    command = [word.strip("'") for word in local(workspace, STEPS, work, SLEEP)]
    with in_terminal(*command) as (terminal, process):
        terminal.until_text("  step 1")
        terminal.type(b"\x13")
        deadline = time.monotonic() + 30
        while not done.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        terminal.type(b"\x11")
        terminal.until(lambda rows: rows[-2].startswith("shell: sleep 60 "))
        process.send_signal(signal.SIGTERM)
        terminal.until_text("cancelled (")


def test_the_page_is_announced_again_below_the_answer(workspace: Path) -> None:
    command = [word.strip("'") for word in local(workspace, DONE)]
    with in_terminal(*command, "--web", columns=200) as (terminal, process):
        rows = terminal.until_text("until Ctrl-C, the page remains at http")
        assert "?token=" in rows[-1]
        assert "shows more" in rows[-2]
        terminal.type(b"\x03")
        assert process.wait(timeout=30) == 0
