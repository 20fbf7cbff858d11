"""Starts a program that ends when its parent does: `python leash.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`.

The kernel sends a signal to a process whose parent thread is gone, if the process asked for it before
(`PR_SET_PDEATHSIG`), and keeps that over `exec`. Asking here, in a program of its own, needs no code between fork and
exec.
This file is run by its path, without site packages, and so imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
"""From `linux/prctl.h`."""


def main(arguments: list[str]) -> None:
    """Ask for the signal, then become the program."""
    parent, number, *program = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    # A parent that ended before the request sends no signal any more.
    if os.getppid() != int(parent):
        sys.exit(128 + int(number))
    os.execv(program[0], program)  # noqa: S606 - a shell would stand between us and the program


if __name__ == "__main__":
    main(sys.argv[1:])
