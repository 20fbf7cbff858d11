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

from trioworker.nurseries import alone
from trioworker.observe.health_check import ActorHealth, Health, State

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from trioworker.job import Job
    from trioworker.records import Record
    from trioworker.running import RunningJob

WAITING_CLIENTS = 8
"""Clients that the kernel keeps waiting while one is answered; more are turned away."""
ANSWER_WITHIN = 1.0
"""Seconds that one client may take."""
PAUSE = 1.0
"""Seconds until the next try after a client could not be taken, for want of a file descriptor for instance."""


class Vitals:
    """What is known of the worker: before the job is fetched nothing but that it lives.

    `running` is set once the job runs.
    """

    def __init__(self, job: Job, job_id: str) -> None:
        self._job = job
        self._job_id = job_id
        self._progressed_at = trio.current_time()
        self.running: RunningJob | None = None

    def progressed(self, _: Iterable[Record]) -> None:
        """The job has come further."""
        self._progressed_at = trio.current_time()

    def health(self) -> Health:
        """How the worker is now."""
        job, running = self._job, self.running
        tools = tuple(call.planned.name for call in job.turn if call.started and call.ended is None)
        actors = running.actors.values() if running else ()
        return Health(
            state=self._state(tools),
            job_id=self._job_id,
            iteration=job.iteration,
            idle=round(trio.current_time() - self._progressed_at, 3),
            tools=tools,
            actors={actor.name: ActorHealth(state=actor.state, restarts=actor.restarts) for actor in actors},
        )

    def _state(self, tools: tuple[str, ...]) -> State:
        if self.running is None:
            return "starting"
        if self.running.ending:
            return "farewell"
        if tools:
            return "running tool"
        return "waiting for model" if self._job.awaiting_reply else "working"


@asynccontextmanager
async def open_health(path: Path | None, job: Job, job_id: str) -> AsyncGenerator[Vitals]:
    """Answer at `path` while the block runs; without one, or where no socket can be made, nobody is answered."""
    vitals = Vitals(job, job_id)
    listener = _listener(path) if path else None
    if path is None or listener is None:
        yield vitals
        return
    job.watchers.append(vitals.progressed)
    made = _identity(path)
    with listener, alone():
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_answer_all, listener, vitals, name="health")
                yield vitals
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
        listener.listen(WAITING_CLIENTS)
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


async def _answer_all(listener: trio.socket.SocketType, vitals: Vitals) -> NoReturn:
    while True:
        try:
            client, _ = await listener.accept()
        except OSError as error:
            logger.warning("a question about health was not taken: {}", error)
            await trio.sleep(PAUSE)
            continue
        try:
            with client, trio.move_on_after(ANSWER_WITHIN):
                await _answer(client, vitals)
        except OSError as error:  # it did not wait for the answer
            logger.debug("a question about health went unanswered: {}", error)
        except Exception as error:
            logger.opt(exception=error).error("a question about health could not be answered")


async def _answer(client: trio.socket.SocketType, vitals: Vitals) -> None:
    left = memoryview(msgspec.json.encode(vitals.health()) + b"\n")
    while left:
        left = left[await client.send(left) :]
