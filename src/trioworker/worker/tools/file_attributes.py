"""Copies a file's owner, permissions, access control list and extended attributes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_ACCESS_LIST = "system.posix_acl_access"
"""A new file inherits this attribute from its folder's default list (acl(5))."""
_BEST_EFFORT = ("security.", "trusted.")
"""Attributes that the kernel or a security module sets, and that may refuse to be copied (xattr(7))."""


def copy_attributes(source: int, target: int) -> bool:
    """Give the open file `target`, which is new and private to us, the attributes of the open file `source`.

    Returns whether that was possible: only root may change owners. Permissions are never wider than the source's.
    """
    wanted = os.fstat(source)
    try:
        attributes = _extended_attributes(source)
        # First, since permissions of a file with an access list also apply to those in the list.
        if _ACCESS_LIST not in attributes and _ACCESS_LIST in _extended_attributes(target):
            os.removexattr(target, _ACCESS_LIST)
        made = os.fstat(target)
        if (made.st_uid, made.st_gid) != (wanted.st_uid, wanted.st_gid):
            os.fchown(target, wanted.st_uid, wanted.st_gid)
        os.fchmod(target, stat.S_IMODE(wanted.st_mode))
        for name, value in attributes.items():
            if name.startswith(_BEST_EFFORT):
                with suppress(OSError):
                    os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value)
    except OSError:
        return False
    # The kernel silently drops the set-group-ID bit if we aren't in the group.
    return os.fstat(target).st_mode == wanted.st_mode


def _extended_attributes(descriptor: int) -> dict[str, bytes]:
    try:
        names = os.listxattr(descriptor)
    except OSError:
        return {}  # the file system has none
    found: dict[str, bytes] = {}
    for name in names:
        with suppress(OSError):
            found[name] = os.getxattr(descriptor, name)
    return found
