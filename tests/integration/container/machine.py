"""Finds out by trial what this machine lets containers do.

A desktop or a server with systemd allows everything. A bare virtual machine or a build host may have cgroups of
version 1, of both versions or none, and no right to raise limits: there containers run without cgroups, in a mount
namespace in which a cgroup file system of version 2 hides the host's.
"""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from integration.container.commands import MissingError, succeeds

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

MEMORY = ("--memory", "2048m")
"""The contract's limit."""
TRIAL_LIMIT = 60.0
"""Seconds for a container that does nothing."""
MAX_PROCESSES = 32_768
"""Requested where the engine's own limit is refused; the host's may be lower."""
HIDE_CGROUPS = """
umount --recursive --lazy /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup && echo ready && exec sleep infinity
"""


def find_run_options(podman: Sequence[str], image: str) -> tuple[str, ...] | None:
    """The options of `podman run` closest to the contract that work here; None if no container runs."""
    own = _own_limits()
    for cgroups in (MEMORY, (), ("--cgroups=disabled",)):
        for limits in ((), own):
            options = ("--network", "host", *cgroups, *limits)
            if _runs(podman, image, options):
                read_only = (*options, "--read-only")
                return read_only if _runs(podman, image, read_only) else options
    return None


def find_build_options(prefix: Sequence[str], image: str) -> tuple[str, ...]:
    """The options of `buildah bud` with which a build's commands run here; `prefix` comes before each command.

    Raises:
        MissingError: there are none.
    """
    choices: tuple[tuple[str, ...], ...] = ((), ("--isolation", "chroot"))
    for options in choices:
        build = (*prefix, "buildah", "bud", "--quiet", *options, "--file", "-")
        if succeeds(*build, stdin=f"FROM {image}\nRUN true\n", limit=TRIAL_LIMIT):
            return options
    raise MissingError("buildah can't run a build's commands here, in a container or a chroot")


@contextmanager
def namespace_without_cgroups() -> Generator[tuple[str, ...]]:
    """A mount namespace that hides the host's cgroups, while the block runs; the prefix of commands to run in it.

    Raises:
        MissingError: it needs root.
    """
    if os.geteuid() != 0:
        raise MissingError("podman can't run a container here; see `podman run --rm IMAGE true`")
    command = ("unshare", "--mount", "sh", "-c", HIDE_CGROUPS)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        try:
            if not holder.stdout or holder.stdout.readline().strip() != "ready":
                raise MissingError("podman can't run a container here, and no mount namespace can be made")
            yield ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--")
        finally:
            holder.kill()


def _runs(podman: Sequence[str], image: str, options: tuple[str, ...]) -> bool:
    return succeeds(*podman, "run", "--rm", *options, "--entrypoint", "true", image, limit=TRIAL_LIMIT)


def _own_limits() -> tuple[str, ...]:
    """This process's limits: the engine's defaults are higher, and not every user may raise them."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if processes == resource.RLIM_INFINITY or processes > MAX_PROCESSES:
        processes = MAX_PROCESSES
    return ("--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}")
