"""Starts a program that ends with its parent: `python pdeathsig.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`.

The kernel sends the signal when the parent thread ends, if the process has requested it (`PR_SET_PDEATHSIG`), and keeps
the request over `exec`. A separate program makes the request, so that no code has to run between fork and exec.
This file is run by its path, without site packages, so it imports only the standard library.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
"""From `linux/prctl.h`."""


def main(arguments: list[str]) -> None:
    """Request the signal, then execute the program."""
    parent, number, *program = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    # If the parent ended before the request, there will be no signal.
    if os.getppid() != int(parent):
        sys.exit(128 + int(number))
    os.execv(program[0], program)  # noqa: S606 - with a shell, the parent of the program would be the shell


if __name__ == "__main__":
    main(sys.argv[1:])
