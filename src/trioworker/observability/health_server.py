"""The worker's side of `trioworker health`: a Unix socket that says in one line of JSON how the worker is.

It runs beside the job and must never hold it up or harm it. One client is answered at a time, within a time-out, with
a line that fits the socket's buffer and without reading anything; what can't be done is logged, and the job goes on.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec
import trio
from loguru import logger

from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from trioworker.observability.health_check import Health


BACKLOG = 8
"""Clients that the kernel keeps waiting while one is answered; more are refused."""
ANSWER_TIMEOUT = 1.0
"""Seconds that one client may take."""
ACCEPT_RETRY_DELAY = 1.0
"""Seconds before the next try after a client could not be accepted, for want of a file descriptor for instance."""


@asynccontextmanager
async def serve_health(path: Path | None, read: Callable[[], Health]) -> AsyncGenerator[None]:
    """Answer at `path` with what `read` returns while the block runs.

    Without a path, or where no socket can be made, nothing is served.
    """
    listener = _listener(path) if path else None
    if path is None or listener is None:
        yield
        return
    made = _identity(path)
    with listener, unwrap_single_exception():
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_answer_all, listener, read, name="health")
                yield
                nursery.cancel_scope.cancel()
        finally:
            _remove(path, made)


def _listener(path: Path) -> trio.socket.SocketType | None:
    """A socket that listens at `path`, in the place of one that a killed worker left; what keeps it away is logged."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        # A socket's mode is what it had when it was bound: nobody else's worker is anybody's business.
        os.fchmod(listener.fileno(), 0o600)
        _make_room(path)
        listener.bind(str(path))
        listener.listen(BACKLOG)
        return trio.socket.from_stdlib_socket(listener)
    except OSError as error:
        listener.close()
        logger.warning("--health-socket {}: {}; nobody can ask how this worker is", path, error.strerror or error)
        return None


def _make_room(path: Path) -> None:
    """Remove a socket at which nobody listens.

    Raises:
        OSError: something else is there.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "it is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as asking:
        # Somebody who is too busy to be asked is somebody.
        asking.setblocking(False)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise FileExistsError(errno.EADDRINUSE, "another worker answers there")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(path: Path, made: tuple[int, int] | None) -> None:
    # A worker that came later may have put its own in the place.
    if made is not None and _identity(path) == made:
        with suppress(OSError):
            path.unlink()


async def _answer_all(listener: trio.socket.SocketType, read: Callable[[], Health]) -> NoReturn:
    while True:
        try:
            client, _ = await listener.accept()
        except OSError as error:
            logger.warning("a question about health was not taken: {}", error)
            await trio.sleep(ACCEPT_RETRY_DELAY)
            continue
        try:
            with client, trio.move_on_after(ANSWER_TIMEOUT):
                await _answer(client, read)
        except OSError as error:  # it did not wait for the answer
            logger.debug("a question about health went unanswered: {}", error)
        except Exception as error:
            logger.opt(exception=error).error("a question about health could not be answered")


async def _answer(client: trio.socket.SocketType, read: Callable[[], Health]) -> None:
    left = memoryview(msgspec.json.encode(read()) + b"\n")
    while left:
        left = left[await client.send(left) :]
