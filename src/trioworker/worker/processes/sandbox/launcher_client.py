"""The worker's side of the launcher: it is started with the first command, and again if somebody ends it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.worker.processes.sandbox import launcher as program
from trioworker.worker.processes.sandbox.launcher import ANSWER, REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trioworker.worker.processes.sandbox.sandbox import Sandbox

START_LIMIT = 5.0
"""Seconds that starting a command may take. It takes milliseconds, unless a command has stopped the launcher."""
ATTEMPTS = 2
"""To ask a launcher for a command; the second time it is a new one."""
KEPT_VARIABLES = ("LD_LIBRARY_PATH",)
"""What the launcher gets of our environment: what its Python may not start without."""


class Started:
    """A command that the launcher has started; it is our child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._code: int | None = None

    async def wait(self) -> int:
        """Its exit code, -N when signal N ended it; this takes its exit status."""
        if self._code is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._code = self._taken()
        return self._code

    def _taken(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, os.WNOHANG)[1])

    def __del__(self) -> None:
        os.close(self._pidfd)


class Launcher:
    """Starts commands behind a wall. Close it when the last has ended."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = trio.Lock()

    @property
    def pid(self) -> int | None:
        """The launcher's own process, while there is one."""
        return self._process.pid if self._process else None

    async def start(
        self, command: Sequence[str], *, directory: int, output: int, environment: Mapping[str, str]
    ) -> Started:
        """Start a command in the open `directory`, its standard output and error to `output`, its input empty.

        Raises:
            OSError: it can't be started, or the launcher is gone.
        """
        texts = [os.fsencode(text) for text in (*command, *(f"{key}={value}" for key, value in environment.items()))]
        body = b"\0".join(texts)
        errors, theirs = os.pipe()
        try:
            # A request that is cut off in the middle would be taken for the next one's beginning.
            with trio.move_on_after(START_LIMIT, shield=True):
                async with self._turn:
                    pid = await self._ask(REQUEST.pack(len(body), len(command)) + body, (directory, output, theirs))
                os.close(theirs)
                theirs = -1
                return await _begun(pid, errors, command[0])
            self.close()
            raise TimeoutError(errno.ETIMEDOUT, "the launcher of commands did not answer", command[0])
        finally:
            os.close(errors)
            if theirs >= 0:
                os.close(theirs)

    def close(self) -> None:
        """End the launcher; what it has started lives on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            # SIGKILL is not refused: this wait is short.
            self._process.wait()
            self._process = None

    async def _ask(self, request: bytes, descriptors: tuple[int, int, int]) -> int:
        for _ in range(ATTEMPTS):
            channel = self._channel()
            try:
                await _send(channel, request, descriptors)
                (number,) = ANSWER.unpack(await _receive(channel))
            except ConnectionError:
                # It did not read all of the request, and so has started nothing.
                logger.warning("the launcher of commands was ended; it is started again")
                self.close()
            else:
                if number > 0:
                    return number
                raise OSError(-number, os.strerror(-number))
        raise OSError(errno.EIO, "the launcher of commands is ended again and again")

    def _channel(self) -> socket.socket:
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        self.close()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        bounds = ",".join(f"{kind}={value}" for kind, value in self._sandbox.limits.items())
        ruleset = self._sandbox.ruleset
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-ISs", program.__file__, str(theirs.fileno()), str(ruleset), bounds],
                env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
                pass_fds=[descriptor for descriptor in (theirs.fileno(), ruleset) if descriptor >= 0],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        finally:
            theirs.close()
        return ours


async def _send(channel: socket.socket, request: bytes, descriptors: tuple[int, int, int]) -> None:
    rest = memoryview(request)
    # The descriptors travel with the first byte.
    sent = socket.send_fds(channel, [rest[: REQUEST.size]], list(descriptors))
    while rest := rest[sent:]:
        try:
            sent = channel.send(rest)
        except BlockingIOError:
            sent = 0
            await trio.lowlevel.wait_writable(channel)


async def _receive(channel: socket.socket) -> bytes:
    answer = b""
    while len(answer) < ANSWER.size:
        await trio.lowlevel.wait_readable(channel)
        piece = channel.recv(ANSWER.size - len(answer))
        if not piece:
            raise OSError(errno.EIO, "the launcher of commands was ended while it started this one")
        answer += piece
    return answer


async def _begun(pid: int, errors: int, name: str) -> Started:
    """The command, once it is what runs in its process."""
    _check_that_it_is_ours(pid)
    started = Started(pid)
    await trio.lowlevel.wait_readable(errors)
    failure = os.read(errors, ANSWER.size)
    if not failure:
        return started
    await started.wait()
    (number,) = ANSWER.unpack(failure)
    raise OSError(number, os.strerror(number), name)


def _check_that_it_is_ours(pid: int) -> None:
    """Whoever got hold of the launcher must not make us wait for, and end, somebody else."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError as error:
        raise OSError(errno.EIO, "the launcher of commands named a process that is none of ours") from error
