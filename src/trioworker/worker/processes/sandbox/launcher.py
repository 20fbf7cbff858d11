"""Confines itself permanently, then starts commands: `python - SOCKET RULESET LIMITS FILTER < launcher.py`.

Commands inherit the confinement, so it adds no work per command. No thread of the worker is ever confined: commands
can signal and trace whatever is in the same Landlock domain. A command is started as a child of the worker instead of
the launcher (CLONE_PARENT), so the worker waits for it and terminates it as if it had started it itself.

A request comes with three descriptors: the working directory, the output, and a pipe for the errno of a failed exec.
The response is the pid, or a negative errno. A worker that no longer needs the launcher kills it. So the end of the
socket means that the worker was killed, and the launcher executes code that terminates the commands (`cleanup.py`).
This file is run from standard input, without site packages, so it imports only the standard library.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress

SYS_LANDLOCK_RESTRICT_SELF = 446
"""On every architecture, as for all calls since Linux 5.1 (asm-generic/unistd.h)."""
SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120}
"""Numbers of `clone` by machine. Container engines deny `clone3`, because seccomp can't inspect its argument."""
CLONE_PARENT = 0x8000
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
"""From linux/sched.h and linux/prctl.h."""
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
"""From asm/unistd.h and linux/seccomp.h. Before Linux 5.16, a filter without this flag slows down the processor."""
OOM_SCORE_ADJUSTMENT = b"500"
"""When memory runs out, the kernel ends commands, not the worker (proc_pid_oom_score_adj(5)); the maximum is 1000."""

REQUEST = struct.Struct("=II")
"""Header of a request: bytes that follow, and how many of its strings are arguments; the rest is the environment."""
RESPONSE = struct.Struct("=i")
DESCRIPTORS = struct.Struct("=3i")
"""The three descriptors of a request."""
CHUNK = 64 * 1024

PYTHON_VARIABLE, CODE_VARIABLE = "CLEANUP_PYTHON", "CLEANUP_CODE"
"""Environment variables with the interpreter and the code to execute if the worker is killed."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that stop the worker but not the launcher: the worker may start more commands before it closes the socket."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def confine(ruleset: int, call_filter: bytes = b"") -> None:
    """Set `no_new_privs`, enforce the Landlock `ruleset`, unless it is -1, and install the seccomp filter, if any.

    This is permanent, for the calling thread and all that it starts.

    Raises:
        OSError: The kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))
    if ruleset >= 0:
        _checked(libc.syscall(ctypes.c_long(SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_long(ruleset), ctypes.c_long(0)))
    if call_filter:
        instructions = ctypes.create_string_buffer(call_filter)
        # struct sock_fprog: the number of instructions of eight bytes, and a pointer to them.
        program = struct.pack("@HP", len(call_filter) // 8, ctypes.addressof(instructions))
        numbers = (SYS_SECCOMP[os.uname().machine], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW)
        _checked(libc.syscall(*map(ctypes.c_long, numbers), ctypes.c_char_p(program)))


def main(arguments: list[str]) -> None:
    """Confine this process, serve requests until the end of the socket, then execute the cleanup."""
    channel, ruleset = int(arguments[0]), int(arguments[1])
    # exec resets a handler, but not an ignored signal: commands start with the default of every signal.
    for number in STOP_SIGNALS:
        signal.signal(number, _ignore)
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(OOM_SCORE_ADJUSTMENT)
    for limit in filter(None, arguments[2].split(",")):
        kind, _, value = limit.partition("=")
        resource.setrlimit(int(kind), (int(value), int(value)))
    confine(ruleset, bytes.fromhex(arguments[3]))
    if ruleset >= 0:
        os.close(ruleset)
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # Commands are in our Landlock domain. They must not be able to trace us, and so read other commands' requests.
    libc.prctl(PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
    os.set_inheritable(channel, False)
    devnull = os.open(os.devnull, os.O_RDONLY)
    # It replaces this file, which was read from standard input.
    os.dup2(devnull, 0)
    # A worker that was killed may leave a half-sent request or an unread response.
    with socket.socket(fileno=channel) as requests, suppress(ConnectionError):
        while request := _receive(requests):
            requests.sendall(RESPONSE.pack(_start(libc, devnull, *request)), socket.MSG_NOSIGNAL)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    python = os.environ[PYTHON_VARIABLE]
    os.execv(python, [python, "-I", "-c", os.environ[CODE_VARIABLE]])  # noqa: S606 - our own program


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing."""


def _receive(requests: socket.socket) -> tuple[list[bytes], dict[bytes, bytes], tuple[int, int, int]] | None:
    """Receive a command, its environment and its descriptors; None at the end of the socket."""
    # `recv_fds` ignores the flag (Python 3.11), so the command would inherit the descriptors.
    head, control, _, _ = requests.recvmsg(REQUEST.size, socket.CMSG_LEN(DESCRIPTORS.size), socket.MSG_CMSG_CLOEXEC)
    if not head:
        return None
    size, count = REQUEST.unpack(head + _read(requests, REQUEST.size - len(head)))
    strings = _read(requests, size).split(b"\0")
    environment = dict(string.split(b"=", 1) for string in strings[count:])
    return strings[:count], environment, DESCRIPTORS.unpack(control[0][2])


def _read(requests: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = requests.recv(min(size - len(data), CHUNK))
        if not piece:
            raise ConnectionResetError("the worker was killed")
        data += piece
    return bytes(data)


def _start(
    libc: ctypes.PyDLL,
    devnull: int,
    command: list[bytes],
    environment: dict[bytes, bytes],
    descriptors: tuple[int, int, int],
) -> int:
    """Start a command as a child of our parent. Returns its pid, or a negative errno."""
    directory, output, error_pipe = descriptors
    execute = os.execve if b"/" in command[0] else os.execvpe
    flags = [ctypes.c_ulong(flag) for flag in (CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)]
    pid: int = libc.syscall(ctypes.c_long(SYS_CLONE[os.uname().machine]), *flags)
    if pid != 0:
        result = pid if pid > 0 else -ctypes.get_errno()
        for descriptor in descriptors:
            os.close(descriptor)
        return result
    # The new process. Each page that is written here is copied first, so this is short.
    try:
        os.setsid()
        os.fchdir(directory)
        os.dup2(devnull, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        execute(command[0], command, environment)
    except OSError as error:
        os.write(error_pipe, RESPONSE.pack(error.errno or 0))
    finally:
        os._exit(127)


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
