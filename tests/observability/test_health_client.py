"""`trioworker health` and `trioworker tree`: what they make of a response, and of its absence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from trioworker.cli.main import main
from trioworker.observability.health_check import Health
from trioworker.observability.tree_check import TaskLine, TaskTree

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LINE = b'{"state":"working","job_id":"j","iteration":3,"idle":40.0,"tools":[],"actors":{}}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health.sock"


@contextmanager
def responder(path: Path, response: bytes) -> Generator[None]:
    """Listen at the path, and send this to the first client."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def respond() -> None:
            # The client may close before the end of the response, or not come at all.
            with suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.sendall(response)

        thread = threading.Thread(target=respond)
        thread.start()
        try:
            yield
        finally:
            # Wakes the thread if it still waits for a client.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_path_that_is_too_long_for_a_socket_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--health-socket", "/" + "x" * 107]) == 2
    assert "is not a path of at most 107 bytes" in capsys.readouterr().err
    # One byte less is valid, but there is no worker.
    assert main(["health", "--health-socket", "/" + "x" * 106]) == 1


def test_health_requires_a_socket(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIOWORKER_HEALTH_SOCKET", raising=False)
    assert main(["health"]) == 2
    assert "--health-socket is missing: give it, or set TRIOWORKER_HEALTH_SOCKET" in capsys.readouterr().err


@pytest.mark.parametrize(("limit", "code"), [([], 0), (["--max-idle", "41"], 0), (["--max-idle", "39"], 1)])
def test_worker_without_progress_for_longer_than_max_idle_is_unhealthy(
    path: Path, capsys: pytest.CaptureFixture[str], limit: list[str], code: int
) -> None:
    with responder(path, LINE + b"\n"):
        assert main(["health", "--health-socket", str(path), *limit]) == code
    captured = capsys.readouterr()
    assert captured.out == LINE.decode() + "\n"
    assert captured.err == ("trioworker: no progress for 40 s, over --max-idle 39\n" if code else "")


def test_control_characters_in_names_are_escaped(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;title\x07\nprocess 1: 0 tasks" + "x" * 1000
    tree = TaskTree(pid=7, tasks=(TaskLine(depth=0, name=name, running=True),))
    with responder(path, msgspec.json.encode(tree)):
        assert main(["tree", "--health-socket", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "process 7: 1 tasks"
    assert second.startswith("\\x1b]0;title\\x07\\nprocess 1: 0 tasksxxx")
    assert len(second) <= 401


HEALTH = msgspec.json.encode(Health(state="working", job_id="j", iteration=1, idle=0.0))
OTHER_RESPONSES = {
    "health": [b"", b"hello\n", b'{"state":"dancing"}\n', b"{}" * 50_000],
    "tree": [b"", b"hello\n", HEALTH, b"{}" * 500_000],
}


@pytest.mark.parametrize(
    ("command", "response"),
    [
        pytest.param(command, response, id=f"{command}-{response[:20].decode()!r}")
        for command, responses in OTHER_RESPONSES.items()
        for response in responses
    ],
)
def test_response_of_something_else_is_an_error_in_one_line(
    path: Path, capsys: pytest.CaptureFixture[str], command: str, response: bytes
) -> None:
    with responder(path, response):
        assert main([command, "--health-socket", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"trioworker: the response at {path} is not from a worker of this version\n"


@pytest.mark.parametrize("command", ["health", "tree"])
def test_command_imports_neither_trio_nor_httpx(path: Path, command: str) -> None:
    code = (
        "import sys\nfrom trioworker.cli.main import main\ncode = main(sys.argv[1:])\n"
        "print(code, *{'trio', 'httpx', 'h11', 'loguru', 'asyncio', 'ssl'} & set(sys.modules))"
    )
    arguments = [command, "--health-socket", path]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert ended.stdout == "1\n"
    assert ended.stderr == f"trioworker: no worker answers at {path}: {os.strerror(2)}; is one running?\n"
