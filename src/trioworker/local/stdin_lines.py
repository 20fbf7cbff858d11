"""Reads lines from standard input until its end."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 1024 * 1024
"""Maximum bytes of a line; a longer one is split. As a prompt, a line must fit a request body of 2 MB."""
READ_BYTES = 65536


async def follow_lines(descriptor: int, on_line: Callable[[str], None]) -> None:
    """Call `on_line` with each non-blank line, until the end of the input.

    Reads terminals, pipes and sockets; a file, /dev/null or a closed descriptor is ignored. The descriptor stays in
    blocking mode, since other processes may share it, and is read only when it is readable.
    """
    if not _is_stream(descriptor):
        return
    pending = b""
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        chunk = read_available(descriptor)
        if chunk is None:
            continue
        *lines, pending = (pending + chunk).split(b"\n")
        if not chunk or len(pending) > MAX_LINE_BYTES:
            lines.append(pending)
            pending = b""
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if text:
                on_line(text)
        if not chunk:
            return


def read_available(descriptor: int) -> bytes | None:
    """What a readable descriptor has; empty at its end; None if another process that shares it was faster."""
    try:
        return os.read(descriptor, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        # A closed terminal has no end of file, only errors.
        return b""


def _is_stream(descriptor: int) -> bool:
    """Whether it is our terminal, a pipe or a socket."""
    try:
        mode = os.fstat(descriptor).st_mode
        if os.isatty(descriptor):
            # A background process that reads from its terminal is stopped (SIGTTIN).
            return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
