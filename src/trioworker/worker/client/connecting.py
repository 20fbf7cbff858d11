"""Opening a connection to the orchestrator: the name lookup, TCP, and TLS, each with a time-out of its own."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, TypeAlias

import trio

from trioworker.protocol.certificates import certificate_problem
from trioworker.worker.client.exchange import CONNECT_TIMEOUT, TransientError, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.worker.client.name_lookup import Address, NameLookup

NEXT_ADDRESS_DELAY = 0.25
"""Seconds before the next address is tried beside the last one (RFC 8305, section 8)."""

TlsStream: TypeAlias = "trio.SSLStream[trio.SocketStream]"
Stream: TypeAlias = "trio.SocketStream | TlsStream"


class Connector:
    """Opens connections to one host, with TLS if it is given a context."""

    def __init__(self, host: str, names: NameLookup, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._names = names
        self._tls = tls

    async def connect(self) -> Stream:
        """Open a connection.

        Raises:
            UntrustedError: the server's certificate isn't trusted.
            TransientError: it can't be opened, and a retry may succeed.
            UnicodeError: the host's name is invalid.
        """
        addresses = await self._names.addresses()
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                stream = await open_first(addresses)
        except OSError as error:
            self._names.forget()
            raise TransientError(f"cannot connect: {describe(error)}") from error
        except trio.TooSlowError as error:
            self._names.forget()
            raise TransientError(f"cannot connect: no answer within {CONNECT_TIMEOUT:g} s") from error
        return stream if self._tls is None else await self._encrypted(stream, self._tls)

    async def _encrypted(self, stream: trio.SocketStream, context: ssl.SSLContext) -> TlsStream:
        encrypted = trio.SSLStream(stream, context, server_hostname=self._host, https_compatible=True)
        is_open = False
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                await encrypted.do_handshake()
            is_open = True
        except trio.BrokenResourceError as error:
            if problem := certificate_problem(error):
                raise UntrustedError(problem) from error
            raise TransientError(f"cannot connect: the TLS handshake failed: {describe(error)}") from error
        except trio.TooSlowError as error:
            raise TransientError(f"cannot connect: no TLS handshake within {CONNECT_TIMEOUT:g} s") from error
        finally:
            if not is_open:
                stream.socket.close()
        return encrypted


async def open_first(addresses: Sequence[Address]) -> trio.SocketStream:
    """Connect to the address that accepts first: each is tried when the one before it failed, or is slow.

    Raises:
        OSError: the last failure, once all addresses have failed.
    """
    opened: list[trio.SocketStream] = []
    failure: OSError = OSError("the host has no address")

    async def attempt(address: Address, failed: trio.Event) -> None:
        nonlocal failure
        try:
            opened.append(await _open(address))
        except OSError as error:
            failure = error
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for address in _alternating(addresses):
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(NEXT_ADDRESS_DELAY):
                    await failed.wait()
        first = opened.pop(0) if opened else None
    finally:
        for stream in opened:
            stream.socket.close()
    if first is None:
        raise failure
    return first


async def _open(address: Address) -> trio.SocketStream:
    family, kind, protocol, _, where = address
    connecting = trio.socket.socket(family, kind, protocol)
    try:
        await connecting.connect(where)
    except BaseException:
        connecting.close()
        raise
    return trio.SocketStream(connecting)


def describe(error: BaseException) -> str:
    """The reason why a connection failed or broke: the operating system's, or TLS's."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return describe(cause)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno:
        # trio puts the address into the error's own text.
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def _alternating(addresses: Sequence[Address]) -> list[Address]:
    """Move the first address of another family to second place: one family may be unreachable (RFC 8305, section 4)."""
    other = next((address for address in addresses if address[0] != addresses[0][0]), None)
    if other is None:
        return list(addresses)
    first, *rest = addresses
    rest.remove(other)
    return [first, other, *rest]
