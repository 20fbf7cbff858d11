"""Confines itself for good, and then starts commands: `python launcher.py SOCKET RULESET LIMITS`.

Whatever it starts inherits the confinement, which so costs a command nothing; and since no thread of the worker is ever
confined, nothing of the worker counts as the commands' equal, whom they may signal and trace. What it starts is a child
of the worker, not of its own (CLONE_PARENT): the worker waits for it, and ends it, as if it had started it itself.

A request comes with three descriptors: the working directory, the output, and where the number of an error goes. The
answer is the new process, or a negative error number. The end of the socket is ours.
This file is run by its path, without site packages, and so imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys

SYS_LANDLOCK_RESTRICT_SELF = 446
"""On every architecture, as for all calls since Linux 5.1 (asm-generic/unistd.h)."""
SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120}
"""Numbers of `clone` by machine. Not `clone3`, which container engines refuse: they can't look into its argument."""
CLONE_PARENT = 0x8000
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
"""From linux/sched.h and linux/prctl.h."""

REQUEST = struct.Struct("=II")
"""Head of a request: bytes that follow, and how many of its texts are arguments; the others are the environment."""
ANSWER = struct.Struct("=i")
NUMBERS = struct.Struct("=3i")
"""The three descriptors of a request."""
CHUNK = 64 * 1024

UNHEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""A stop of the worker's is no stop of ours: it may yet have commands to start before it closes the socket."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def confine(ruleset: int) -> None:
    """Give up new privileges, and writing where the Landlock `ruleset` allows none; -1 stands for no ruleset.

    This holds for the calling thread, and for what it starts, for good.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))
    if ruleset >= 0:
        _checked(libc.syscall(ctypes.c_long(SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_long(ruleset), ctypes.c_long(0)))


def main(arguments: list[str]) -> None:
    """Confine ourselves, then serve until the socket ends."""
    channel, ruleset = int(arguments[0]), int(arguments[1])
    # A handler, unlike an ignored signal, is none any more after exec: a command finds all signals as they should be.
    for number in UNHEEDED:
        signal.signal(number, _unheeded)
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    confine(ruleset)
    if ruleset >= 0:
        os.close(ruleset)
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # What we start is our equal; it must not trace us, and read or change another command by us.
    libc.prctl(PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
    for limit in filter(None, arguments[2].split(",")):
        kind, _, value = limit.partition("=")
        resource.setrlimit(int(kind), (int(value), int(value)))
    os.set_inheritable(channel, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    with socket.socket(fileno=channel) as requests:
        while request := _receive(requests):
            answer = _start(libc, nothing, *request)
            requests.sendall(ANSWER.pack(answer))


def _unheeded(_number: int, _frame: object) -> None:
    """Nothing."""


def _receive(requests: socket.socket) -> tuple[list[bytes], dict[bytes, bytes], tuple[int, int, int]] | None:
    """A command, its environment and its descriptors; None at the end of the socket."""
    # Not by `recv_fds`, which forgets the flag (Python 3.11): the command would get the descriptors too.
    head, control, _, _ = requests.recvmsg(REQUEST.size, socket.CMSG_LEN(NUMBERS.size), socket.MSG_CMSG_CLOEXEC)
    if not head:
        return None
    size, count = REQUEST.unpack(head + _read(requests, REQUEST.size - len(head)))
    texts = _read(requests, size).split(b"\0")
    environment = dict(text.split(b"=", 1) for text in texts[count:])
    return texts[:count], environment, NUMBERS.unpack(control[0][2])


def _read(requests: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = requests.recv(min(size - len(data), CHUNK))
        if not piece:
            raise SystemExit(0)  # the worker is gone
        data += piece
    return bytes(data)


def _start(
    libc: ctypes.PyDLL,
    nothing: int,
    command: list[bytes],
    environment: dict[bytes, bytes],
    descriptors: tuple[int, int, int],
) -> int:
    """Like fork, but the child is our parent's; it becomes the command. A negative error number if there is none."""
    directory, output, errors = descriptors
    execute = os.execve if b"/" in command[0] else os.execvpe
    flags = [ctypes.c_ulong(flag) for flag in (CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)]
    pid: int = libc.syscall(ctypes.c_long(SYS_CLONE[os.uname().machine]), *flags)
    if pid != 0:
        number = pid if pid > 0 else -ctypes.get_errno()
        for descriptor in descriptors:
            os.close(descriptor)
        return number
    # The new process. Each page that is touched here is copied first, so there is little to do.
    try:
        os.setsid()
        os.fchdir(directory)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        execute(command[0], command, environment)
    except OSError as error:
        os.write(errors, ANSWER.pack(error.errno or 0))
    finally:
        os._exit(127)


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
