"""The addresses of the orchestrator's host. A slow name server delays requests but doesn't make them fail.

Each lookup runs in a thread that belongs to no limiter, so that hanging lookups can't starve the journal or tools. A
lookup continues when the request that waits for it gives up: the next request gets its result. glibc waits 5 s for a
name server that is down, for each search domain, at every lookup.
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import trio

from trioworker.worker.client.exchange import TransientError

LOOKUP_TIMEOUT = 8.0
"""Seconds that a request waits for a lookup: less than the limit of any attempt, so that errors name the lookup."""
HANGING_AFTER = 60.0
"""Seconds after which a lookup counts as hanging, and another one is started."""
MAX_LOOKUPS = 4
"""Concurrent lookups, of which all but one hang."""
REUSED_FOR = 30.0
"""Seconds for which a result is used for further connections, unless connecting fails."""

Address: TypeAlias = "tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]"
"""As `socket.getaddrinfo` returns it."""
Resolve = Callable[[str, int], list[Address]]


def resolve(host: str, port: int) -> list[Address]:
    """Look up a host by the operating system. Blocks."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class _Lookup:
    """A lookup that runs, or has ended with `result`."""

    def __init__(self) -> None:
        self.started = trio.current_time()
        self.ended = trio.Event()
        self.result: list[Address] | OSError | UnicodeError = []


class NameLookup:
    """Looks up one host."""

    def __init__(self, host: str, port: int, resolve: Resolve = resolve) -> None:
        self._host = host
        self._port = port
        self._resolve = resolve
        self._lookup: _Lookup | None = None
        self._lookups = 0
        self._known = _numeric(host, port)
        self._known_until = math.inf if self._known else -math.inf

    async def addresses(self) -> list[Address]:
        """The addresses, in the order in which to try them.

        Raises:
            TransientError: the lookup failed, or takes too long.
            UnicodeError: the name is invalid: it has an empty label, or one over 63 bytes.
        """
        if trio.current_time() < self._known_until:
            return self._known
        lookup = self._lookup
        if lookup is None or self._is_hanging(lookup):
            lookup = self._start()
        with trio.move_on_after(LOOKUP_TIMEOUT) as waiting:
            await lookup.ended.wait()
        if waiting.cancelled_caught:
            raise TransientError(f"cannot look up {self._host}: no answer within {LOOKUP_TIMEOUT:g} s")
        result = lookup.result
        if isinstance(result, OSError):
            raise TransientError(f"cannot look up {self._host}: {(result.strerror or str(result)).lower()}") from result
        if isinstance(result, UnicodeError):
            raise UnicodeError(str(result)) from result
        return result

    def forget(self) -> None:
        """Look the name up again for the next connection: the host may have moved."""
        if self._known_until < math.inf:
            self._known_until = -math.inf

    def _is_hanging(self, lookup: _Lookup) -> bool:
        return trio.current_time() - lookup.started >= HANGING_AFTER and self._lookups < MAX_LOOKUPS

    def _start(self) -> _Lookup:
        lookup = self._lookup = _Lookup()
        self._lookups += 1
        token = trio.lowlevel.current_trio_token()

        def look_up() -> list[Address] | OSError | UnicodeError:
            try:
                return self._resolve(self._host, self._port)
            except (OSError, UnicodeError) as error:
                return error

        def deliver(result: list[Address] | OSError | UnicodeError) -> None:
            # The job may have ended before.
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._finish, lookup, result)

        try:
            trio.lowlevel.start_thread_soon(look_up, lambda outcome: deliver(outcome.unwrap()), name="name lookup")
        except RuntimeError as error:
            self._finish(lookup, OSError(errno.EAGAIN, str(error)))
        return lookup

    def _finish(self, lookup: _Lookup, result: list[Address] | OSError | UnicodeError) -> None:
        self._lookups -= 1
        lookup.result = result
        lookup.ended.set()
        if self._lookup is lookup:
            self._lookup = None
        if isinstance(result, list):
            self._known, self._known_until = result, trio.current_time() + REUSED_FOR


def _numeric(host: str, port: int) -> list[Address]:
    """The address, if the host is one: that needs no lookup."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []
