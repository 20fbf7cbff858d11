"""System calls by which a command could end, stop or slow down the worker, and that Landlock does not cover.

Any process of the same user can change a process's resource limits: with a limit of five open files or one second of
CPU time, the worker would end without a report. From version 6 on, Landlock keeps commands from signalling the
worker. For older kernels, the calls that name the worker by its pid are denied here. That prevents accidents such as
`pkill python`, not attacks: a process can also be named by the id of any of its threads, or by a descriptor.
"""

from __future__ import annotations

import os

from trioworker.linux.seccomp import Denial, Equals, NotNull, NotZero, build_filter, is_supported

TIOCSTI = 0x5412
TIOCLINUX = 0x541C
"""Requests of `ioctl` that put characters into a terminal's input, as if a person had typed them (ioctl_tty(2))."""
OF_PROCESS, OF_GROUP, OF_USER = 0, 1, 2
"""Whose priority `setpriority` changes (sys/resource.h); `ioprio_set` counts from 1."""
TAG_LIMIT = 15
"""RLIMIT_RTTIME, the resource limit that holds the tag of a job (`tags.py`)."""

_NAMES_PID_FIRST = (
    "kill",
    "pidfd_open",
    "process_vm_readv",
    "process_vm_writev",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "tgkill",
    "tkill",
)
"""Calls whose first argument is the pid of the process that they affect."""


def command_filter() -> bytes:
    """The seccomp filter of commands that this process starts; empty if this kind of machine is not supported."""
    machine = os.uname().machine
    if not is_supported(machine):
        return b""
    worker, group = os.getpid(), os.getpgrp()
    every_process = -1
    return build_filter(
        [
            # A process may name itself by 0, as the C library and `ulimit` do. A filter can't know its pid.
            Denial("prlimit64", (NotZero(0), NotNull(2))),
            Denial("prlimit64", (Equals(1, TAG_LIMIT), NotNull(2))),
            Denial("setrlimit", (Equals(0, TAG_LIMIT),)),
            Denial("ioctl", (Equals(1, TIOCSTI),)),
            Denial("ioctl", (Equals(1, TIOCLINUX),)),
            Denial("kill", (Equals(0, every_process),)),
            Denial("kill", (Equals(0, -group),)),
            Denial("ptrace", (Equals(1, worker),)),
            *(
                Denial(call, conditions)
                for call, first in (("setpriority", 0), ("ioprio_set", 1))
                for conditions in (
                    (Equals(0, first + OF_PROCESS), Equals(1, worker)),
                    (Equals(0, first + OF_GROUP), Equals(1, group)),
                    (Equals(0, first + OF_USER),),
                )
            ),
            *(Denial(call, (Equals(0, worker),)) for call in _NAMES_PID_FIRST),
        ],
        machine,
    )
