"""The worker's side of the launcher, which is started with the first command and restarted if it was killed."""

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
from trioworker.worker.processes.sandbox.denied_calls import TAG_LIMIT
from trioworker.worker.processes.sandbox.launcher import REQUEST, RESPONSE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trioworker.worker.processes.sandbox.sandbox import Sandbox

START_TIMEOUT = 5.0
"""Seconds that starting a command may take. It takes milliseconds, unless a command stopped the launcher."""
ATTEMPTS = 2
"""Attempts to start a command; the second uses a new launcher."""
INHERITED_VARIABLES = ("LD_LIBRARY_PATH",)
"""Variables that the launcher inherits: its Python may need them to start."""


class LaunchedProcess:
    """A command that the launcher started; it is our child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._exit_code: int | None = None

    async def wait(self) -> int:
        """Wait for its end, reap it, and return the exit code, -N if signal N ended it."""
        if self._exit_code is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._exit_code = self._reap()
        return self._exit_code

    def _reap(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, os.WNOHANG)[1])

    def __del__(self) -> None:
        os.close(self._pidfd)


class Launcher:
    """Starts commands in a sandbox. Close it after the last command has ended."""

    def __init__(self, sandbox: Sandbox, cleanup: Mapping[str, str], tag: int | None = None) -> None:
        """`tag` is from `job_tag`, and `cleanup` from `cleanup_variables`."""
        self._sandbox = sandbox
        self._cleanup = cleanup
        self._limits = sandbox.limits if tag is None else {**sandbox.limits, TAG_LIMIT: tag}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._lock = trio.Lock()

    @property
    def pid(self) -> int | None:
        """The pid of the launcher itself, while it runs."""
        return self._process.pid if self._process else None

    async def start(
        self, command: Sequence[str], *, directory: int, output: int, environment: Mapping[str, str]
    ) -> LaunchedProcess:
        """Start a command in the open `directory`; standard output and error go to `output`, standard input is empty.

        Raises:
            OSError: The command can't be started, or the launcher was killed.
        """
        strings = [
            os.fsencode(string) for string in (*command, *(f"{key}={value}" for key, value in environment.items()))
        ]
        body = b"\0".join(strings)
        error_pipe, write_end = os.pipe()
        try:
            # Shielded: the rest of a request that was cut off would be missing before the next one.
            with trio.move_on_after(START_TIMEOUT, shield=True):
                async with self._lock:
                    pid = await self._request(
                        REQUEST.pack(len(body), len(command)) + body, (directory, output, write_end)
                    )
                os.close(write_end)
                write_end = -1
                return await _wait_for_exec(pid, error_pipe, command[0])
            self.close()
            raise TimeoutError(errno.ETIMEDOUT, "the command launcher did not respond", command[0])
        finally:
            os.close(error_pipe)
            if write_end >= 0:
                os.close(write_end)

    def close(self) -> None:
        """Kill the launcher; commands that it started keep running."""
        # Before closing the socket, which would make it clean up.
        if self._process is not None:
            self._process.kill()
            # SIGKILL can't be ignored: this wait is short.
            self._process.wait()
            self._process = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _request(self, request: bytes, descriptors: tuple[int, int, int]) -> int:
        for _ in range(ATTEMPTS):
            channel = self._channel()
            try:
                await _send(channel, request, descriptors)
                (number,) = RESPONSE.unpack(await _receive(channel))
            except ConnectionError:
                # It did not read the whole request, so it started nothing.
                logger.warning("the command launcher was killed; restarting it")
                self.close()
            else:
                if number > 0:
                    return number
                raise OSError(-number, os.strerror(-number))
        raise OSError(errno.EIO, "the command launcher was killed twice")

    def _channel(self) -> socket.socket:
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        self.close()
        parent_end, child_end = socket.socketpair()
        parent_end.setblocking(False)
        self._socket = parent_end
        limits = ",".join(f"{kind}={value}" for kind, value in self._limits.items())
        ruleset, call_filter = self._sandbox.ruleset, self._sandbox.call_filter.hex()
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        try:
            with open(program.__file__, "rb") as source:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    # Without a virtual environment, whose path often contains our name.
                    [
                        os.path.realpath(sys.executable),
                        "-ISs",
                        "-",
                        str(child_end.fileno()),
                        str(ruleset),
                        limits,
                        call_filter,
                    ],
                    env={**inherited, **self._cleanup},
                    pass_fds=[descriptor for descriptor in (child_end.fileno(), ruleset) if descriptor >= 0],
                    stdin=source,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    # Survives a signal to the worker's group, but is in its session, unlike commands.
                    process_group=0,
                )
        finally:
            child_end.close()
        return parent_end


async def _send(channel: socket.socket, request: bytes, descriptors: tuple[int, int, int]) -> None:
    rest = memoryview(request)
    # The descriptors are sent with the first byte.
    sent = socket.send_fds(channel, [rest[: REQUEST.size]], list(descriptors))
    while rest := rest[sent:]:
        try:
            sent = channel.send(rest)
        except BlockingIOError:
            sent = 0
            await trio.lowlevel.wait_writable(channel)


async def _receive(channel: socket.socket) -> bytes:
    response = b""
    while len(response) < RESPONSE.size:
        await trio.lowlevel.wait_readable(channel)
        piece = channel.recv(RESPONSE.size - len(response))
        if not piece:
            raise OSError(errno.EIO, "the command launcher was killed while it started this command")
        response += piece
    return response


async def _wait_for_exec(pid: int, error_pipe: int, name: str) -> LaunchedProcess:
    """Wait until the new process has become the command, or has failed to."""
    _check_is_child(pid)
    process = LaunchedProcess(pid)
    await trio.lowlevel.wait_readable(error_pipe)
    failure = os.read(error_pipe, RESPONSE.size)
    if not failure:
        return process
    await process.wait()
    (number,) = RESPONSE.unpack(failure)
    raise OSError(number, os.strerror(number), name)


def _check_is_child(pid: int) -> None:
    """A command that controls the launcher must not make us wait for, and terminate, another process."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError as error:
        raise OSError(errno.EIO, "the command launcher returned a process that is not our child") from error
