"""`trioworker local` with a model server that refuses requests or can't be reached."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.strict_provider import StrictProvider, fails, listening

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

EXIT_TIMEOUT = 60.0
"""Seconds within which a job that can't succeed must end. The job's own time limit is ten times as long."""
KEY = "sk-test-0123456789abcdef"


def run(base: str, workspace: Path, *options: str, **environment: str) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, the events and stderr of a job."""
    command = [sys.executable, "-m", "trioworker", "local", "go", "--llm", f"openai:{base}", "--model", "m", "--json"]
    ended = subprocess.run(
        [*command, "--workspace", str(workspace), *options],
        env={**os.environ, "OPENAI_API_KEY": KEY, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=EXIT_TIMEOUT,
        check=False,
    )
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


@pytest.mark.parametrize(
    ("status", "words", "line"),
    [
        (401, f"Incorrect API key provided: {KEY}.", "the model server rejected the API key (401): Incorrect API key"),
        (404, "No model `m`.", "the model server does not know the model or the path (404): No model `m`."),
        (402, "Pay.", "the quota or credits at the model server are used up (402): Pay."),
    ],
)
def test_a_refusal_fails_the_job_at_once_in_one_line(status: int, words: str, line: str, workspace: Path) -> None:
    with listening({"m": StrictProvider([fails(status, words)])}) as base:
        code, events, stderr = run(base, workspace)

    assert code == 1
    message = events[-1]["data"]["message"]
    assert message.startswith(f"Execution failed: {line}")
    assert "\n" not in message
    assert KEY not in message + stderr
    assert len([log for log in stderr.splitlines() if line in log]) <= 2
    # The server lists another model, which doesn't keep the job from starting.
    assert stderr.startswith("trioworker: the model server does not list the model m: it lists strict.")


def test_a_server_that_is_not_there_is_one_line_before_the_job_starts(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    start = time.monotonic()
    code, events, stderr = run(f"http://127.0.0.1:{port}/v1", workspace)

    assert time.monotonic() - start < EXIT_TIMEOUT / 2
    assert (code, events) == (2, [])
    assert stderr == (
        f"trioworker: no connection to the model server: connection refused (127.0.0.1:{port}); "
        "check that it runs, and the URL in --llm\n"
    )
