"""Starts Ray's driver as a child process, and exchanges messages with it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING

import trio

from trioworker.fleet.ray.messages import decode_event, encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioworker.fleet.ray.messages import Command, Event

STOP_TIMEOUT = 15.0
"""Seconds for the driver to end after its input has ended: more than it takes to give up a lost cluster."""
TAIL_BYTES = 4096
CHUNK_BYTES = 65536
_RAY_ERROR = re.compile(r"\[[^]]* [CEF] \d+ \d+\] (?:\(\w+\) )?[\w.]+:\d+: *(.*)")
"""Such as `[2026-01-31 12:00:00,000 E 123 456] rpc_client.h:204: Failed to connect. …`, before a stack trace."""


class DriverConnection:
    """Commands to a driver, and events from it, over a stream."""

    def __init__(self, stream: trio.abc.Stream, log: IO[bytes] | None = None) -> None:
        """`log` is the file that the driver logs to."""
        self._stream = stream
        self._log = log
        self._buffer = bytearray()

    async def send(self, command: Command) -> None:
        """Send a command. If the driver has ended, the command is dropped: `receive` reports the end."""
        try:
            await self._stream.send_all(encode(command) + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def receive(self) -> Event | None:
        """Wait for the next event; None: the driver has ended. It can be called again after a cancellation."""
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                chunk = await self._stream.receive_some(CHUNK_BYTES)
            except trio.BrokenResourceError:
                return None
            if not chunk:
                return None
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return decode_event(line)

    def last_words(self) -> str | None:
        """The last error in the driver's log: the first sentence of Ray's message, or the last line."""
        if self._log is None:
            return None
        self._log.seek(max(0, self._log.seek(0, 2) - TAIL_BYTES))
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [error[1].split(". ")[0] for line in lines if (error := _RAY_ERROR.match(line)) is not None]
        return next(reversed(errors or lines), None)


@asynccontextmanager
async def open_driver(cpu: float, address: str | None) -> AsyncGenerator[DriverConnection]:
    """Start the driver. It is stopped at the end of the block, and with it all workers."""
    # The module search path may be that of a zipapp.
    path = [folder for folder in sys.path if folder]
    code = f"import sys; sys.path[:] = {path!a}; from trioworker.fleet.ray.driver import main; main(sys.argv[1:])"
    command = [sys.executable, "-P", "-c", code, str(cpu), *([] if address is None else [address])]
    with tempfile.TemporaryFile() as log:
        # In a session of its own, since Ctrl-C is for the fleet.
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        try:
            yield DriverConnection(trio.StapledStream(process.stdin, process.stdout), log)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_TIMEOUT):
                await process.stdin.aclose()
                await process.wait()
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_TIMEOUT):
                await process.wait()
                await process.stdout.aclose()
