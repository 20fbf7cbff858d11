"""The standard streams of the program: always open, and never blocking."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any

from trioworker.observability.bounded_stream import MAX_WAITING_BYTES, BoundedStream

MAX_WAITING_OUTPUT = 16 * MAX_WAITING_BYTES
"""Bytes of results that wait for their reader: more than a job usually prints."""


def open_standard_streams() -> None:
    """Replace standard output and standard error with streams that never block, and open those that are closed.

    A closed descriptor would be taken by the next file that is opened, such as a connection to the orchestrator.
    """
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            _open_if_closed(descriptor)
    sys.stdout = _bounded(sys.stdout, 1, limit=MAX_WAITING_OUTPUT)
    sys.stderr = _bounded(sys.stderr, 2, limit=MAX_WAITING_BYTES, describe_dropped=_describe_dropped)


def drain_standard_streams(timeout: float) -> None:
    """Wait at most `timeout` seconds until everything is written."""
    until = time.monotonic() + timeout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, BoundedStream):
            stream.drain(max(0.0, until - time.monotonic()))


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest free number is used, which is this one. Child processes inherit it, like any standard stream.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _bounded(stream: Any, descriptor: int, **options: Any) -> BoundedStream:
    # None: the descriptor was closed when Python started. By now it may be a file that another module opened.
    return BoundedStream(descriptor, "utf-8" if stream is None else stream.encoding, **options)


def _describe_dropped(lines: int) -> str:
    return f"trioworker: {lines} lines were dropped here: standard error was not read, or could not be written to\n"
