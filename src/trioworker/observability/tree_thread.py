"""The thread that answers `trioworker tree` while the event loop can't, because a computation holds it.

The thread shares the health socket with the event loop, which answers whenever it runs. If a client still waits to be
accepted after `HANDOVER` seconds, while one step holds the loop, the thread accepts it. A client that asks for the tree
gets it, with the stack that holds the loop. A client that asks for the health is passed on to the loop, so a worker
that hangs is unhealthy.

The thread costs about 0.2 ms of CPU per second.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import trio
from loguru import logger

from trioworker.observability.health_client import TREE_CLIENT
from trioworker.observability.task_tree import read_tree

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Generator

    from trioworker.observability.task_tree import LastSteps

LOOK_INTERVAL = 1.0
"""Seconds between two looks at the tasks: the precision of how long each has waited."""
HANDOVER = 0.25
"""Seconds within which the event loop has to accept a client."""
MAX_PASSED_ON = 32
"""Clients that may wait for the event loop; with so many, the thread accepts no others until the loop runs again."""
SEND_TIMEOUT = 0.5
"""Time limit in seconds for sending a response, which fits into the socket's buffer."""
NAME = "loop-watcher"


class TreeThread:
    """Answers at the listening socket while the event loop is held."""

    def __init__(
        self,
        listener: socket.socket,
        steps: LastSteps,
        actors: Collection[str],
        adopt: Callable[[socket.socket], None],
    ) -> None:
        """`adopt` serves a client in the event loop."""
        self._listener = listener
        self._steps = steps
        self._actors = actors
        self._adopt = adopt
        self._token = trio.lowlevel.current_trio_token()
        self._passed_on = 0
        self._stop = -1
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    @contextmanager
    def running(self) -> Generator[None]:
        """Run the thread during the block, if the machine can start one."""
        try:
            self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._thread.start()
        except (OSError, RuntimeError) as error:
            logger.debug("`trioworker tree` gets no answer while a computation runs: {}", error)
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        if self._thread.ident is not None:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        if self._stop >= 0:
            os.close(self._stop)

    def _run(self) -> None:
        try:
            stop = select.poll()
            stop.register(self._stop, select.POLLIN)
            event = select.poll()
            event.register(self._stop, select.POLLIN)
            event.register(self._listener, select.POLLIN)
            while not stop.poll(0):
                waiting = {descriptor for descriptor, _ in event.poll(LOOK_INTERVAL * 1000)}
                self._steps.look()
                if self._listener.fileno() in waiting and not stop.poll(HANDOVER * 1000):
                    self._accept_if_held()
        except Exception as error:  # whatever it is, the job continues
            logger.debug("the thread that watches the event loop ended: {}: {}", type(error).__name__, error)

    def _accept_if_held(self) -> None:
        step = self._steps.look()
        if step is None or self._steps.held() < HANDOVER or self._passed_on >= MAX_PASSED_ON:
            return
        try:
            client, address = self._listener.accept()
        except OSError:  # the event loop was faster, or it will report the error
            return
        if not is_tree_client(address):
            self._pass_on(client)
            return
        with client, suppress(OSError):
            client.settimeout(SEND_TIMEOUT)
            client.sendall(msgspec.json.encode(read_tree(self._steps, self._actors, step)) + b"\n")

    def _pass_on(self, client: socket.socket) -> None:
        def adopt() -> None:
            self._passed_on -= 1
            self._adopt(client)

        self._passed_on += 1
        try:
            self._token.run_sync_soon(adopt)
        except trio.RunFinishedError:
            client.close()


def is_tree_client(address: object) -> bool:
    """Whether the address is that of a client that asks for the tree."""
    return isinstance(address, bytes) and address.startswith(TREE_CLIENT)
