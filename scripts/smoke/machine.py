"""What this machine lets containers do, found out by trying.

A desk or a server with systemd allows everything. A bare virtual machine or a build host may have cgroups of version 1,
of both, or none, and no right to raise limits: there containers run without cgroups, in a mount namespace of ours in
which a cgroup file system of version 2 hides the host's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from smoke.commands import SkippedError, output, works

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = ("--memory", "2048m")
"""The contract's limit."""
MOST_TRIAL = 60.0
"""Seconds for a container that does nothing; a way that takes longer is none."""
MOST_PROCESSES = 32_768
"""The most that is asked for where the engine's own limits are refused; the host's may lie below it."""


def way_to_run(podman: Sequence[str], image: str) -> tuple[str, ...] | None:
    """The options of `run` that come closest to the contract here, for this podman; `None` if no container runs."""
    own = _own_limits()
    for cgroups in (MEMORY, (), ("--cgroups=disabled",)):
        for limits in ((), own):
            way = ("--network", "host", *cgroups, *limits)
            if _runs(podman, image, way):
                return (*way, "--read-only") if _runs(podman, image, (*way, "--read-only")) else way
    return None


def way_to_build(image: str) -> tuple[str, ...]:
    """The options of `buildah bud` with which a build's commands run here.

    Raises:
        SkippedError: none do.
    """
    ways: tuple[tuple[str, ...], ...] = ((), ("--isolation", "chroot"))
    for way in ways:
        if works("buildah", "bud", "--quiet", *way, "--file", "-", stdin=f"FROM {image}\nRUN true\n", limit=MOST_TRIAL):
            return way
    raise SkippedError("buildah can run no command in a build here, in a container or a chroot")


def enter_namespace() -> NoReturn:
    """Start this program again, in a mount namespace of its own.

    Raises:
        SkippedError: that is not for us to do.
    """
    if os.geteuid() != 0:
        raise SkippedError("podman can run no container here: `podman run --rm IMAGE true` tells why")
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv, "--namespace"])  # noqa: S606 - none is wanted


def hide_cgroups() -> None:
    """Put a cgroup file system of version 2 in the place of what is there; for a namespace of our own alone."""
    subprocess.run(["umount", "--recursive", "--lazy", "/sys/fs/cgroup"], capture_output=True, check=False)
    output("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup")


def _runs(podman: Sequence[str], image: str, way: tuple[str, ...]) -> bool:
    return works(*podman, "run", "--rm", *way, "--entrypoint", "true", image, limit=MOST_TRIAL)


def _own_limits() -> tuple[str, ...]:
    """Our own limits: the engine's defaults are higher, and not everybody may raise them."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if processes == resource.RLIM_INFINITY or processes > MOST_PROCESSES:
        processes = MOST_PROCESSES
    return ("--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}")
