"""System calls that Python does not wrap: `openat2`, `prctl`, and any other by its number.

ctypes is imported at the first call, to keep the import of this module fast.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

SYS_OPENAT2 = 437
"""On every architecture, like all calls since Linux 5.1 (asm-generic/unistd.h)."""
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
"""Flags of `openat2` (linux/openat2.h): no links like `/proc/*/root`; nothing outside the start directory."""

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = -1
"""Options of `prctl` (linux/prctl.h), and a value."""


def openat2(directory: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """Open `path` relative to the open `directory` with the flags `resolve`, and return the descriptor.

    Raises:
        OSError: ENOSYS if the kernel lacks the call, EXDEV if the path leads outside, and what `open` raises.
    """
    import ctypes

    # struct open_how: three unsigned 64-bit integers.
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, resolve)
    return system_call(SYS_OPENAT2, directory, path, bytes(how), ctypes.sizeof(how))


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """Make any system call; bytes are passed as a pointer, None as a null pointer.

    Raises:
        OSError: The call failed; ENOSYS if the kernel lacks it.
    """
    import ctypes

    converted = [
        ctypes.c_long(argument) if isinstance(argument, int) else ctypes.c_char_p(argument) for argument in arguments
    ]
    return _checked(_libc().syscall(ctypes.c_long(number), *converted))


def become_subreaper() -> None:
    """Become the new parent of orphans among our descendants, instead of init. Idempotent."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def forbid_inspection() -> None:
    """Deny other processes of this user access to our memory, environment and open files."""
    _prctl(PR_SET_DUMPABLE, 0)


def permit_inspection() -> None:
    """Let every process of this user trace us, also where Yama reserves that to our ancestors (ptrace_scope 1)."""
    _prctl(PR_SET_DUMPABLE, 1)
    with suppress(OSError):  # EINVAL: this kernel has no Yama, and so no such restriction
        _prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)


def _prctl(option: int, value: int) -> None:
    import ctypes

    arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    _checked(_libc().prctl(ctypes.c_int(option), *arguments))


@cache
def _libc() -> ctypes.CDLL:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def _checked(result: int) -> int:
    import ctypes

    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
