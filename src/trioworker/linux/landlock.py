"""Landlock restricts where a process and all that it starts may write (landlock(7)).

Only changes of files are restricted; reading and executing are not. A ruleset is a descriptor, which
`launcher.confine` enforces.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from trioworker.linux.syscalls import system_call

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SYS_CREATE_RULESET = 444
SYS_ADD_RULE = 445
"""On every architecture, like all calls since Linux 5.1 (asm-generic/unistd.h)."""
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1

WRITE_FILE = 1 << 1
REMOVE = 1 << 4 | 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
RESOLVE_UNIX = 1 << 16
"""Access rights (linux/landlock.h). REFER is moving and linking between folders, RESOLVE_UNIX is
connecting to a socket in the file system, except to those that processes with the same restrictions created.
"""
SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
SCOPE_SIGNAL = 1 << 1

ALWAYS_DENIED = MAKE_CHAR | MAKE_BLOCK
"""Denied everywhere: a device file gives access to a disk below its file system."""
FILE_RIGHTS = WRITE_FILE | TRUNCATE | IOCTL_DEV | RESOLVE_UNIX
"""The rights that a rule for a file, as opposed to a folder, may grant."""
MIN_VERSION = 2
"""Version 1 (Linux 5.13 to 5.18) denies every move between folders, which builds need."""
MAX_VERSION = 9
"""The last version that this module knows; a newer kernel is used like this version."""


def version() -> int:
    """The kernel's Landlock version, 0 for none: not built in, not enabled, or denied by seccomp."""
    try:
        return system_call(SYS_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def open_ruleset(offered: int, paths: Iterable[Path], *, sockets: Iterable[Path] = ()) -> int:
    """Return the descriptor of a ruleset of version `offered` that allows writing only to `paths` and all below.

    From version 9 on, it allows connecting to sockets only in those of `paths` that are in `sockets`, and all below.
    Paths that do not exist are ignored.

    Raises:
        OSError: The kernel refuses.
    """
    rights = handled_rights(offered)
    scopes = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL if offered >= 6 else 0
    # struct landlock_ruleset_attr: files, network, scopes. Older kernels know only the first.
    attributes = struct.pack("=QQQ", rights, 0, scopes)[: 24 if offered >= 6 else 8]
    ruleset = system_call(SYS_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        with_sockets = set(sockets)
        for path in paths:
            denied = ALWAYS_DENIED if path in with_sockets else ALWAYS_DENIED | RESOLVE_UNIX
            _allow(ruleset, path, rights & ~denied)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def handled_rights(offered: int) -> int:
    """The rights that a ruleset of this version denies wherever no rule grants them."""
    rights = WRITE_FILE | REMOVE | MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM
    since = {2: REFER, 3: TRUNCATE, 5: IOCTL_DEV, 9: RESOLVE_UNIX}
    return rights | sum(right for least, right in since.items() if offered >= least)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENXIO):
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= FILE_RIGHTS
        # struct landlock_path_beneath_attr, which is packed.
        system_call(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
