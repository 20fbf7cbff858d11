"""Builds seccomp filters, which make system calls fail depending on their arguments (seccomp(2)).

A filter is a BPF program, which the kernel runs before each system call. It skips calls that the filter allows whatever
their arguments are; it determines these once. A filter is inherited by all that a process starts, and can't be removed.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Equals(NamedTuple):
    """An argument of 32 bits has this value."""

    argument: int
    value: int


class NotZero(NamedTuple):
    """An argument of 32 bits is not 0."""

    argument: int


class NotNull(NamedTuple):
    """An argument that is a pointer is not null."""

    argument: int


class Denial(NamedTuple):
    """A system call, by its name, that fails with EPERM if all conditions hold."""

    call: str
    conditions: tuple[Equals | NotZero | NotNull, ...]


class _Architecture(NamedTuple):
    audit: int
    numbers: dict[str, int]


_ARCHITECTURES = {
    "x86_64": _Architecture(
        audit=0xC000003E,
        numbers={
            "ioctl": 16,
            "ioprio_set": 251,
            "kill": 62,
            "pidfd_open": 434,
            "prlimit64": 302,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "ptrace": 101,
            "rt_sigqueueinfo": 129,
            "rt_tgsigqueueinfo": 297,
            "sched_setaffinity": 203,
            "sched_setattr": 314,
            "sched_setparam": 142,
            "sched_setscheduler": 144,
            "setpriority": 141,
            "setrlimit": 160,
            "tgkill": 234,
            "tkill": 200,
        },
    ),
    "aarch64": _Architecture(
        audit=0xC00000B7,
        numbers={
            "ioctl": 29,
            "ioprio_set": 30,
            "kill": 129,
            "pidfd_open": 434,
            "prlimit64": 261,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "ptrace": 117,
            "rt_sigqueueinfo": 138,
            "rt_tgsigqueueinfo": 240,
            "sched_setaffinity": 122,
            "sched_setattr": 274,
            "sched_setparam": 118,
            "sched_setscheduler": 119,
            "setpriority": 140,
            "setrlimit": 164,
            "tgkill": 131,
            "tkill": 130,
        },
    ),
}
"""AUDIT_ARCH_* (linux/audit.h), and the numbers of the calls that can be denied (asm/unistd_64.h,
asm-generic/unistd.h). Both architectures are little-endian.
"""
_X32_BIT = 0x40000000
"""Set in the call numbers of the x32 ABI, which has the same AUDIT_ARCH as x86_64 (asm/unistd.h)."""

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions (linux/filter.h): load a word of `struct seccomp_data`, jump, return an action."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`; there are six arguments of 64 bits."""
_ALLOW, _FAIL, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
"""Actions (linux/seccomp.h); the low bits of _FAIL are an errno."""


def is_supported(machine: str) -> bool:
    """Whether `build_filter` knows the system calls of this kind of machine."""
    return machine in _ARCHITECTURES


def build_filter(denials: Iterable[Denial], machine: str) -> bytes:
    """Return a BPF program that denies these calls and allows all others.

    It ends programs of other ABIs, such as i386, with SIGSYS: their calls have other numbers.

    Raises:
        KeyError: The machine is not supported.
    """
    audit, numbers = _ARCHITECTURES[machine]
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_JUMP_EQUAL, audit, when_true=1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
        _step(_JUMP_GREATER_EQUAL, _X32_BIT, when_false=1),
        _step(_RETURN, _FAIL | errno.ENOSYS),
    ]
    for denial in denials:
        program += _denial(numbers[denial.call], denial.conditions)
    return b"".join([*program, _step(_RETURN, _ALLOW)])


def _denial(number: int, conditions: Sequence[Equals | NotZero | NotNull]) -> list[bytes]:
    """Compile from the end: each check that fails jumps over the rest."""
    steps = [_step(_RETURN, _FAIL | errno.EPERM)]
    for condition in reversed(conditions):
        low = _ARGUMENTS + 8 * condition.argument
        rest = len(steps)
        match condition:
            case Equals(value=value):
                check = [_step(_LOAD, low), _step(_JUMP_EQUAL, value & 0xFFFFFFFF, when_false=rest)]
            case NotZero():
                check = [_step(_LOAD, low), _step(_JUMP_EQUAL, 0, when_true=rest)]
            case NotNull():
                check = [
                    _step(_LOAD, low),
                    _step(_JUMP_EQUAL, 0, when_false=2),
                    _step(_LOAD, low + 4),
                    _step(_JUMP_EQUAL, 0, when_true=rest),
                ]
        steps = check + steps
    return [_step(_LOAD, _NUMBER), _step(_JUMP_EQUAL, number, when_false=len(steps)), *steps]


def _step(code: int, value: int, *, when_true: int = 0, when_false: int = 0) -> bytes:
    """One instruction, `struct sock_filter`; the jumps are counted in instructions to skip."""
    return struct.pack("=HBBI", code, when_true, when_false, value)
