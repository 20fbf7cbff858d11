"""The commands of a job: started, read while they run, and ended with all that they started.

A call ends when its first process does. What it left in the background lives on until the job ends, so that a server
started by one call can be used by the next; its output is read on and thrown away, lest it die of a closed pipe. A call
that is out of time or cancelled ends with its whole tree: SIGTERM, a short wait, SIGKILL until nobody is left. The
nursery's own way for that won't do: trio stops caring as soon as the first process is gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
import trio

from trioworker.worker.processes.output import BoundedOutput
from trioworker.worker.processes.ownership import ProcessOwnership
from trioworker.worker.processes.sandbox.launcher_client import Launcher
from trioworker.worker.processes.sandbox.sandbox import NO_SANDBOX
from trioworker.worker.processes.termination import KILL_WAIT, terminate_processes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from trioworker.worker.processes.sandbox.sandbox import Sandbox

READ_BYTES = 64 * 1024
"""Bytes read at once, which is what a pipe holds (pipe(7))."""
SECOND_LOOK = 0.02
"""Seconds after which a dead process whose parent might have been about to wait for it is taken for an orphan."""
IDLE_READ_PAUSE = 0.01
"""Seconds between two reads of output that nobody will see: 6 MB/s, and an endless writer costs us little."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended. `exit_code` is None when its time was up; killed by signal N is -N."""

    output: str
    exit_code: int | None


class Processes:
    """The process table of a job. Enter it with `async with`, again after it was left; leaving ends all processes.

    `end_all` may be called at any time, also afterwards.
    """

    def __init__(self, job: str | None = None, sandbox: Sandbox = NO_SANDBOX) -> None:
        """`job` marks the processes, so that a later worker finds them: see `leftovers.py`. `wall` confines them."""
        self._ownership = ProcessOwnership(job)
        self._launcher = Launcher(sandbox) if sandbox.enabled else None
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
        timeout: float,  # noqa: ASYNC109 - its end is an answer with the output until then, not an exception
    ) -> Ended:
        """Run a command in the open `directory`, for at most `timeout` seconds. Standard input is empty.

        Raises:
            OSError: it can't be started.
        """
        call = await self._start(command, directory, environment)
        exit_code: int | None = None
        try:
            with trio.move_on_after(timeout):
                exit_code = await call.process.wait()
        finally:
            if exit_code is None:
                await self._end(call.number)
                await call.take_exit_status()
            self._ownership.ended(call.process.pid)
            self._reap()
            output = call.close()
        return Ended(output=output, exit_code=exit_code)

    async def end_all(self) -> None:
        """End every process that any call left behind."""
        await self._end(None)
        if self._reap():
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * SECOND_LOOK):
                await trio.sleep(SECOND_LOOK)
            self._reap()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Self]:
        async with trio.open_nursery() as self._nursery:
            try:
                yield self
            finally:
                await self.end_all()
                if self._launcher is not None:
                    self._launcher.close()
                self._nursery.cancel_scope.cancel()
                self._nursery = None
                self._reaping = False

    async def _reap_as_they_die(self) -> None:
        """Take the exit status of orphans also while a long call runs; the main thread alone can hear of deaths."""
        if threading.current_thread() is not threading.main_thread():
            return
        with trio.open_signal_receiver(signal.SIGCHLD) as deaths:
            async for _ in deaths:
                if self._ownership.has_dead_orphan() and self._reap():
                    await trio.sleep(SECOND_LOOK)
                    self._reap()

    def _reap(self) -> bool:
        return self._ownership.reap(self._launcher.pid if self._launcher else None)

    async def _start(self, command: Sequence[str], directory: int, environment: Mapping[str, str]) -> _Call:
        if self._nursery is None:
            raise RuntimeError("Processes runs commands inside of its `async with` only")
        number, mark = self._ownership.new_call()
        ours, theirs = os.pipe()
        try:
            with self._ownership.starting():
                process = await self._open_process(command, directory, theirs, {**environment, **mark})
                self._ownership.began(number, process.pid)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        if not self._reaping:
            self._reaping = True
            self._nursery.start_soon(self._reap_as_they_die)
        call = _Call(number, process, trio.lowlevel.FdStream(ours))
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
            # Python changes to it between fork and exec, when the descriptor is still open there too.
            cwd=f"/proc/self/fd/{directory}",
            env=environment,
            start_new_session=True,
        )

    async def _end(self, number: int | None) -> None:
        """End a call's processes, or all for None, whatever happens to us meanwhile."""
        await terminate_processes(lambda: self._ownership.snapshot(number))


class _Process(Protocol):
    @property
    def pid(self) -> int: ...

    async def wait(self) -> int: ...


class _Call:
    """A running command and the window on its output."""

    def __init__(self, number: int, process: _Process, stream: trio.lowlevel.FdStream) -> None:
        self.number = number
        self.process = process
        self._stream = stream
        self._window = BoundedOutput()
        self._seen = True

    async def read_output(self) -> None:
        """Read to the end of the stream, also after `close`, when nobody looks any more."""
        async with self._stream:
            async for data in self._stream:
                if self._seen:
                    self._window.feed(bytes(data))
                else:
                    await trio.sleep(IDLE_READ_PAUSE)

    async def take_exit_status(self) -> None:
        """Wait for a process that was killed, so that it is no zombie."""
        with trio.move_on_after(KILL_WAIT, shield=True):
            await self.process.wait()

    def close(self) -> str:
        """The output until now, with what is in the pipe already."""
        self._seen = False
        descriptor = self._stream.fileno()
        if descriptor >= 0:
            for data in _waiting_bytes(descriptor):
                self._window.feed(data)
        return self._window.text()


def _waiting_bytes(descriptor: int) -> list[bytes]:
    """What a pipe holds at this moment, and not what a background process goes on to write."""
    rest = int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), "little")
    pieces: list[bytes] = []
    while rest > 0:
        data = os.read(descriptor, min(rest, READ_BYTES))
        pieces.append(data)
        rest -= len(data)
    return pieces
