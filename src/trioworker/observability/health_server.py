"""The worker's side of `trioworker health` and `trioworker tree`: a Unix socket that returns one line of JSON.

It must never delay or fail the job. One client is served at a time, within a time limit, with a line that fits into the
socket's buffer; nothing is read. Errors are only logged.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec
import trio
from loguru import logger

from trioworker.observability.task_tree import LastSteps, read_tree
from trioworker.observability.tree_thread import TreeThread, is_tree_client
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection
    from pathlib import Path

    from trioworker.observability.health_check import Health
    from trioworker.observability.tree_check import TaskTree


BACKLOG = 8
"""Clients that wait in the kernel while one is served; more are refused."""
RESPONSE_TIMEOUT = 1.0
"""Seconds to serve one client."""
ACCEPT_RETRY_DELAY = 1.0
"""Seconds before the next attempt when a client can't be accepted, for instance for lack of file descriptors."""


@asynccontextmanager
async def serve_health(
    path: Path | None, read: Callable[[], Health], actors: Collection[str] = ()
) -> AsyncGenerator[None]:
    """Serve what `read` returns, and the task tree, at `path` while the block runs. `actors` are names of tasks.

    Nothing is served without a path, or if the socket can't be created, which is logged.
    """
    listener = _listen(path) if path else None
    if path is None or listener is None:
        yield
        return
    made = _inode(path)
    steps = LastSteps(trio.lowlevel.current_root_task() or trio.lowlevel.current_task(), threading.get_ident())
    server = _Server(read, steps, actors)
    with listener, unwrap_single_exception():
        try:
            async with trio.open_nursery() as nursery:

                def adopt(client: socket.socket) -> None:
                    nursery.start_soon(server.serve_client, trio.socket.from_stdlib_socket(client), None)

                with TreeThread(listener, steps, actors, adopt).running():
                    nursery.start_soon(server.serve, trio.socket.from_stdlib_socket(listener), name="health")
                    yield
                    nursery.cancel_scope.cancel()
        finally:
            _remove(path, made)


def _listen(path: Path) -> socket.socket | None:
    """Return a socket that listens at `path`, and replace one that a killed worker left; log a failure, return None."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Before bind, which gives the file its mode: other users must not connect.
        os.fchmod(listener.fileno(), 0o600)
        _remove_stale_socket(path)
        listener.bind(str(path))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        return listener
    except OSError as error:
        listener.close()
        logger.warning("--health-socket {}: {}; this worker has no health check", path, error.strerror or error)
        return None


def _remove_stale_socket(path: Path) -> None:
    """Remove a socket that has no listener.

    Raises:
        OSError: anything else is there.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "it exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as client:
        # A full backlog, which would block, means that there is a listener.
        client.setblocking(False)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise FileExistsError(errno.EADDRINUSE, "another worker listens there")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(path: Path, made: tuple[int, int] | None) -> None:
    # A later worker may have replaced it with its own.
    if made is not None and _inode(path) == made:
        with suppress(OSError):
            path.unlink()


class _Server:
    """Serves clients in the event loop."""

    def __init__(self, read: Callable[[], Health], steps: LastSteps, actors: Collection[str]) -> None:
        self._read = read
        self._steps = steps
        self._actors = actors

    async def serve(self, listener: trio.socket.SocketType) -> NoReturn:
        """Serve one client after another."""
        while True:
            try:
                client, address = await listener.accept()
            except OSError as error:
                logger.warning("a health client could not be accepted: {}", error)
                await trio.sleep(ACCEPT_RETRY_DELAY)
                continue
            await self.serve_client(client, address)

    async def serve_client(self, client: trio.socket.SocketType, address: object) -> None:
        """Serve a client, and close it."""
        try:
            with client, trio.move_on_after(RESPONSE_TIMEOUT):
                await _send(client, self._tree() if is_tree_client(address) else self._read())
        except OSError as error:  # the client has closed its end
            logger.debug("a health client was not served: {}", error)
        except Exception as error:
            logger.opt(exception=error).error("a health client could not be served")

    def _tree(self) -> TaskTree:
        self._steps.look()
        return read_tree(self._steps, self._actors, None)


async def _send(client: trio.socket.SocketType, response: msgspec.Struct) -> None:
    left = memoryview(msgspec.json.encode(response) + b"\n")
    while left:
        left = left[await client.send(left) :]
