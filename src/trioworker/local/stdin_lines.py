"""Lines of standard input, for as long as there are any."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 1024 * 1024
"""Bytes of a line; a longer one is handed on in pieces. As a prompt it must fit a request body of 2 MB."""
READ_BYTES = 65536


async def follow_lines(descriptor: int, said: Callable[[str], None]) -> None:
    """Call `said` with each line that is not blank, until the end of the input.

    A terminal or a pipe is read as it comes; a file, /dev/null or a closed descriptor has nothing to say. The
    descriptor stays blocking, since others may share its file: it is read when there is something to read.
    """
    if not _speaks(descriptor):
        return
    pending = b""
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        try:
            chunk = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            # Somebody else, who shares the input, was quicker.
            continue
        except OSError:
            # A terminal that was closed has no end, only errors.
            return
        *lines, pending = (pending + chunk).split(b"\n")
        if not chunk or len(pending) > MAX_LINE_BYTES:
            lines.append(pending)
            pending = b""
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if text:
                said(text)
        if not chunk:
            return


def _speaks(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
        if os.isatty(descriptor):
            # A read from the background would stop us.
            return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
