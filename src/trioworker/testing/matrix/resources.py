"""Resources that have to be closed when a run ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

import trio

from trioworker.testing.matrix.errors import NotClosedError
from trioworker.testing.matrix.places import SourceLine

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

_ATTRIBUTES = ("closed", "is_closed", "_closed")
"""Flags or methods that say whether it is closed: of files; httpx's clients; trio's and anyio's memory channels."""


class Resources:
    """The resources that one run has registered."""

    def __init__(self) -> None:
        self._registered: list[tuple[str, SourceLine, Callable[[], object]]] = []

    def add(self, description: str, line: SourceLine, is_closed: Callable[[], object]) -> None:
        """Register a resource."""
        self._registered.append((description, line, is_closed))

    def check(self) -> None:
        """Check that all are closed.

        Raises:
            NotClosedError: names those that aren't.
        """
        opened = [f"{name}, registered at {line}" for name, line, is_closed in self._registered if not is_closed()]
        if opened:
            raise NotClosedError(f"not closed: {'; '.join(opened)}")


current: trio.lowlevel.RunVar[Resources | None] = trio.lowlevel.RunVar("resources of the cancel matrix")


def must_be_closed(resource: R, is_closed: Callable[[], object] | None = None) -> R:
    """Register a resource that has to be closed when the body of a cancel matrix ends.

    It returns the resource: `send, receive = map(must_be_closed, trio.open_memory_channel(0))`. Outside a cancel
    matrix, it does nothing else.

    Args:
        resource: a file, a socket, a socket stream, a memory channel of trio or anyio, a client of httpx, or anything
            else that has `closed`, `is_closed` or `fileno()`.
        is_closed: for other resources, a function that returns whether the resource is closed.

    Raises:
        TypeError: the resource has none of these, and `is_closed` wasn't given.
    """
    probe = is_closed or _probe(resource)
    try:
        resources = current.get(None)
    except RuntimeError:  # outside a trio run
        resources = None
    if resources is not None:
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        resources.add(repr(resource), SourceLine(caller.f_code.co_filename, caller.f_lineno), probe)
    return resource


def _probe(resource: object) -> Callable[[], object]:
    for name in _ATTRIBUTES:
        if hasattr(resource, name):
            return lambda: _value(resource, name)
    # trio's socket streams have their socket as an attribute.
    for owner in (resource, getattr(resource, "socket", None)):
        fileno = getattr(owner, "fileno", None)
        if callable(fileno):
            return lambda: fileno() == -1
    raise TypeError(f"must_be_closed can't tell whether {resource!r} is closed: pass a function as is_closed=")


def _value(resource: object, name: str) -> object:
    flag = getattr(resource, name)
    return flag() if callable(flag) else flag
