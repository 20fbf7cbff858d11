"""Runs the commands of a job, reads their output, and terminates them with all their descendants.

A call ends when its first process does. Its background processes live until the job ends, so that a later call can use
a server that an earlier one started; their output is read and discarded, because a closed pipe would kill them. A call
that times out or is cancelled is terminated with its whole tree: SIGTERM, a short wait, then SIGKILL until no process
is left. `trio.run_process` can't do that: it stops as soon as the first process has ended.

Orphans are reaped by polling. SIGCHLD is no alternative: only the main thread can receive it, and its handler belongs
to the program that embeds the job.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
import trio

from trioworker.supervision.threads import run_in_thread_if_possible
from trioworker.worker.processes.cleanup import Watcher, cleanup_variables
from trioworker.worker.processes.output import CollectedOutput, read_available
from trioworker.worker.processes.ownership import ProcessOwnership
from trioworker.worker.processes.sandbox.launcher_client import Launcher
from trioworker.worker.processes.sandbox.sandbox import NO_SANDBOX
from trioworker.worker.processes.termination import KILL_DELAY, ProcessSnapshot, terminate_processes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from trioworker.worker.processes.sandbox.sandbox import Sandbox

REAP_INTERVAL = 1.0
"""Seconds between two checks for orphans that have ended. A check is one system call; until then they are zombies."""
REAP_DELAY = 0.02
"""Seconds until a dead child that another task may have been about to wait for counts as an orphan."""
THREAD_BYTES = 256 * 1024
"""Bytes from which output is converted to text in a thread: it takes milliseconds, which would block all else."""
DISCARD_INTERVAL = 0.01
"""Seconds between two reads of discarded output: an endless writer gets 6 MB/s, which costs little CPU."""


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """The output of a command, as a terminal would show it, and its exit code.

    `exit_code` is None after a time-out, and -N when signal N ended the command. `is_complete` is false if the middle
    of a very long output is missing.
    """

    output: str
    exit_code: int | None
    is_complete: bool = True


class Processes:
    """The processes of a job.

    An `async with` block, which may be entered again after it was left. Leaving it terminates all processes.
    """

    def __init__(self, job: str | None = None, sandbox: Sandbox = NO_SANDBOX) -> None:
        """`job`, from `job_mark`, marks the processes, so that a restarted worker finds them (`orphans.py`)."""
        self._ownership = ProcessOwnership(job, sandbox)
        cleanup = cleanup_variables(self._ownership.job)
        self._launcher = Launcher(sandbox, cleanup, self._ownership.tag) if sandbox.enabled else None
        # Either cleans up if this process is killed.
        self._helper = self._launcher or Watcher(cleanup)
        self._nursery: trio.Nursery | None = None
        self._reaping = False
        self._opened: AbstractAsyncContextManager[Self] | None = None

    async def __aenter__(self) -> Self:
        self._opened = self._open()
        return await self._opened.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._opened is None:
            return None
        return await self._opened.__aexit__(kind, error, traceback)

    async def run(
        self,
        command: Sequence[str],
        *,
        directory: int,
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - a time-out is a result, not an exception
    ) -> CommandResult:
        """Run a command in the open `directory` for at most `timeout` seconds, with empty standard input.

        Raises:
            OSError: The command can't be started.
        """
        call = await self._start(command, directory, environment)
        exit_code: int | None = None
        try:
            with trio.move_on_after(timeout):
                exit_code = await call.process.wait()
        finally:
            if exit_code is None:
                await self._terminate(call.number)
                await call.reap()
            self._ownership.leader_reaped(call.process.pid)
            self._reap()
            output = call.close()
        text = await run_in_thread_if_possible(output.text) if output.size > THREAD_BYTES else output.text()
        return CommandResult(output=text, exit_code=exit_code, is_complete=output.is_complete)

    async def terminate_all(self) -> None:
        """Terminate the processes of all calls. May be called at any time, also outside the block."""
        await self._terminate(None)
        if self._reap():
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * REAP_DELAY):
                await trio.sleep(REAP_DELAY)
            self._reap()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Self]:
        async with trio.open_nursery() as self._nursery:
            try:
                yield self
            finally:
                await self.terminate_all()
                self._helper.close()
                self._nursery.cancel_scope.cancel()
                self._nursery = None
                self._reaping = False

    async def _reap_orphans(self) -> None:
        """Reap orphans while a long call runs."""
        while True:
            await trio.sleep(REAP_INTERVAL)
            if self._ownership.has_dead_orphan():
                self._reap()

    def _reap(self) -> bool:
        with _errors_logged():
            return self._ownership.reap(self._helper.pid)
        return False

    async def _start(self, command: Sequence[str], directory: int, environment: Mapping[str, str]) -> _Call:
        if self._nursery is None:
            raise RuntimeError("commands can only be run inside the `async with` block of Processes")
        if isinstance(self._helper, Watcher):
            self._helper.start()
        number, mark = self._ownership.new_call()
        read_end, write_end = os.pipe()
        try:
            with self._ownership.starting():
                process = await self._open_process(command, directory, write_end, {**environment, **mark})
                self._ownership.leader_started(number, process.pid)
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        if not self._reaping:
            self._reaping = True
            self._nursery.start_soon(self._reap_orphans)
        call = _Call(number, process, trio.lowlevel.FdStream(read_end))
        self._nursery.start_soon(call.read_output)
        return call

    async def _open_process(
        self, command: Sequence[str], directory: int, output: int, environment: Mapping[str, str]
    ) -> _Process:
        if self._launcher is not None:
            return await self._launcher.start(command, directory=directory, output=output, environment=environment)
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Python changes directory between fork and exec, when the child still has the descriptor.
            cwd=f"/proc/self/fd/{directory}",
            env=environment,
            start_new_session=True,
        )

    async def _terminate(self, number: int | None) -> None:
        """Terminate the processes of a call, or of all calls for None. Cancellation does not interrupt it."""

        def take_snapshot(*, quick: bool) -> ProcessSnapshot:
            if not quick:
                # Thousands of dead children would slow down the search.
                self._reap()
            return self._ownership.snapshot(number, quick=quick)

        with _errors_logged():
            await terminate_processes(take_snapshot)


@contextmanager
def _errors_logged() -> Generator[None]:
    """Log an error instead of raising it: whatever commands leave behind, the job must be reported."""
    try:
        yield
    except Exception as error:
        from loguru import logger

        logger.error("processes of commands may still be running: {}: {}", type(error).__name__, error)


class _Process(Protocol):
    @property
    def pid(self) -> int: ...

    async def wait(self) -> int: ...


class _Call:
    """A running command and its output."""

    def __init__(self, number: int, process: _Process, stream: trio.lowlevel.FdStream) -> None:
        self.number = number
        self.process = process
        self._stream = stream
        self._output = CollectedOutput()
        self._discard = False

    async def read_output(self) -> None:
        """Read to the end of the stream; after `close`, what is read is discarded."""
        async with self._stream:
            async for data in self._stream:
                if self._discard:
                    await trio.sleep(DISCARD_INTERVAL)
                else:
                    self._output.feed(bytes(data))

    async def reap(self) -> None:
        """Reap the process after it was killed."""
        with trio.move_on_after(KILL_DELAY, shield=True):
            await self.process.wait()

    def close(self) -> CollectedOutput:
        """Return the output so far, including what is in the pipe, and discard the rest."""
        self._discard = True
        descriptor = self._stream.fileno()
        if descriptor >= 0:
            for data in read_available(descriptor):
                self._output.feed(data)
        return self._output
