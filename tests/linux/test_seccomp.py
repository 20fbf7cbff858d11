"""What a filter answers to system calls, by an interpreter of its instructions, for each kind of machine."""

from __future__ import annotations

import errno
import struct

import pytest

from trioworker.linux.seccomp import Denial, Equals, NotNull, NotZero, build_filter, is_supported

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003, "arm": 0x40000028}
PRLIMIT64 = {"x86_64": 302, "aarch64": 261}
IOCTL = {"x86_64": 16, "aarch64": 29}
GETPID = {"x86_64": 39, "aarch64": 172}
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
DENIALS = [
    Denial("prlimit64", (NotZero(0), NotNull(2))),
    Denial("ioctl", (Equals(1, 0x5412),)),
    Denial("ioctl", (Equals(1, -1), Equals(2, 7))),
]


def answer(machine: str, number: int, *arguments: int, abi: str = "") -> int:
    """Run the filter of a machine as the kernel does."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[abi or machine], 0, *(value & (1 << 64) - 1 for value in padded))
    steps = list(struct.iter_unpack("<HBBI", build_filter(DENIALS, machine)))
    position = accumulator = 0
    while True:
        code, when_true, when_false, value = steps[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x15:
                position += when_true if accumulator == value else when_false
            case 0x35:
                position += when_true if accumulator >= value else when_false
            case _:
                return value


def failing(number: int) -> int:
    return 0x00050000 | number


each_machine = pytest.mark.parametrize("machine", PRLIMIT64)


@each_machine
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1234, 7, 0x7FFF_0000_0000), failing(errno.EPERM)),
        ((1234, 7, 0x1234), failing(errno.EPERM)),
        ((-1, 7, 0x1234), failing(errno.EPERM)),
        ((1234, 7, 0), ALLOWED),
        ((0, 7, 0x1234), ALLOWED),
        # The kernel takes 32 bits of a pid.
        ((1 << 32, 7, 0x1234), ALLOWED),
    ],
)
def test_all_conditions_must_hold(machine: str, arguments: tuple[int, ...], expected: int) -> None:
    assert answer(machine, PRLIMIT64[machine], *arguments) == expected


@each_machine
def test_a_call_may_have_several_denials(machine: str) -> None:
    for arguments, expected in [
        ((0, 0x5412), failing(errno.EPERM)),
        ((0, 0x1_0000_5412), failing(errno.EPERM)),
        ((0, -1, 7), failing(errno.EPERM)),
        ((0, -1, 8), ALLOWED),
        ((0, 0x5413, 7), ALLOWED),
    ]:
        assert answer(machine, IOCTL[machine], *arguments) == expected


@each_machine
def test_other_calls_are_allowed(machine: str) -> None:
    assert answer(machine, GETPID[machine]) == ALLOWED


@pytest.mark.parametrize(("machine", "abi"), [("x86_64", "i386"), ("aarch64", "arm")])
def test_programs_of_other_abis_are_ended(machine: str, abi: str) -> None:
    assert answer(machine, GETPID[machine], abi=abi) == KILLED


def test_calls_of_the_x32_abi_do_not_exist() -> None:
    assert answer("x86_64", 0x40000000 | PRLIMIT64["x86_64"], 0, 7, 0) == failing(errno.ENOSYS)


def test_other_machines_are_not_supported() -> None:
    assert is_supported("x86_64")
    assert not is_supported("riscv64")
