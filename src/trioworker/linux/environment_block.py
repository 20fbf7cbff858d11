"""Wipes variables from our environment, including the copy in `/proc/PID/environ`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def wipe_variables(names: Iterable[str]) -> None:
    """Remove the variables, and overwrite them in the block that the kernel copied onto our stack at the start.

    Nothing refers to them once they are unset. The block's address comes from `/proc/self/stat`; its content is
    compared to `/proc/self/environ` before anything is written. Idempotent.
    """
    import ctypes

    wiped = tuple(names)
    for name in wiped:
        os.environ.pop(name, None)
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        with open("/proc/self/environ", "rb") as file:
            block = file.read()
    except OSError:
        return  # no /proc, or no access to it since an earlier call
    # env_start and env_end are fields 50 and 51 (proc_pid_stat(5)); our first field is the third, the state.
    start, end = int(fields[47]), int(fields[48])
    if start == 0 or end - start != len(block) or ctypes.string_at(start, len(block)) != block:
        return
    prefixes = tuple(os.fsencode(name) + b"=" for name in wiped)
    position = 0
    for entry in block.split(b"\0"):
        if entry.startswith(prefixes):
            ctypes.memset(start + position, 0, len(entry))
        position += len(entry) + 1
