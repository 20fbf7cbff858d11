"""The real program as a child process, and the processes of a job that are left after it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioworker.linux.procfs import process_entry

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import AsyncGenerator, Callable, Mapping

WAIT_TIMEOUT = 60.0
"""Seconds after which a condition that hasn't come true fails its test: long enough for a busy machine."""
POLL_INTERVAL = 0.02
"""Seconds between two checks of a condition."""

TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"
_OURS = ("IRONCLAW_", "TRIOWORKER_", "OPENAI_")


class Ended(msgspec.Struct, frozen=True):
    """How a program ended; `seconds` is the time from its start to its end."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def outcome(self) -> dict[str, Any]:
        """The JSON object that a worker prints on standard output, on one line."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def complaint(self) -> str:
        """The only line that the program printed, on standard error."""
        assert self.out == "", self.out
        (line,) = self.err.splitlines()
        return line


class Program:
    """A running `trioworker`."""

    def __init__(self, prefix: tuple[str, ...] = (), python: str = sys.executable) -> None:
        self._prefix, self._python = prefix, python
        self._began = trio.current_time()
        self._process: trio.Process | None = None
        self._result: subprocess.CompletedProcess[bytes] | None = None
        self._done = trio.Event()
        self._seconds = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, timeout: float = WAIT_TIMEOUT) -> Ended:  # noqa: ASYNC109 - a limit for a hanging program
        """Wait for the end, for at most `timeout` seconds."""
        with trio.fail_after(timeout):
            await self._done.wait()
        assert self._result is not None
        out, err = self._result.stdout.decode(), self._result.stderr.decode()
        return Ended(self._result.returncode, out, err, self._seconds)

    async def run(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        stdin: bytes,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with trio.open_nursery() as nursery:
            self._process = await nursery.start(partial(self._run, arguments, environment, stdin))
            task_status.started()

    async def _run(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        stdin: bytes,
        *,
        task_status: trio.TaskStatus[trio.Process],
    ) -> None:
        self._result = await trio.run_process(
            [*self._prefix, self._python, "-m", "trioworker", *arguments],
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment,
            deliver_cancel=_kill,
            task_status=task_status,
        )
        self._seconds = trio.current_time() - self._began
        self._done.set()


@asynccontextmanager
async def started(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    prefix: tuple[str, ...] = (),
    python: str = sys.executable,
) -> AsyncGenerator[Program]:
    """Run `trioworker ARGUMENTS` with these environment variables; killed when the block is left early.

    `prefix` is a command that executes the rest of its arguments, such as `nohup` or `in_shell`.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    async with trio.open_nursery() as nursery:
        program = Program(prefix, python)
        await nursery.start(program.run, arguments, {**inherited, **(environment or {})}, stdin)
        yield program
        nursery.cancel_scope.cancel()


async def ran(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    prefix: tuple[str, ...] = (),
) -> Ended:
    """Run `trioworker ARGUMENTS` to its end; see `started`."""
    async with started(*arguments, environment=environment, stdin=stdin, prefix=prefix) as program:
        return await program.ended()


def in_shell(more: str, before: str = "") -> tuple[str, ...]:
    """A prefix that runs the command in a shell, after `before`, with `more` after it, such as a redirection."""
    return ("sh", "-c", f'{before} exec "$@" {more}', "sh")


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    with trio.fail_after(WAIT_TIMEOUT):
        while not condition():  # noqa: ASYNC110 - the state of files and processes has no event
            await trio.sleep(POLL_INTERVAL)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and any of its threads has not ended yet."""
    try:
        return not process_entry(pid).is_dead
    except OSError:
        return False


def survivors(mark: str, folder: Path) -> dict[int, str]:
    """Processes with `mark` in their environment or a working directory in `folder`, as PID and command line."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            marked = mark.encode() in (entry / "environ").read_bytes()
            inside = (entry / "cwd").readlink().is_relative_to(folder)
        except OSError:
            # It has ended, is a zombie, or belongs to another user.
            continue
        if (marked or inside) and command:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()
