"""Podman as root, and as an ordinary user created for the tests: the same commands with another prefix."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from integration.container.commands import CommandError, MissingError, output, succeeds
from integration.container.machine import find_run_options

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

USER = "trioworker-test"
"""The ordinary user of the rootless tests, created and removed by root."""
NEEDED = {"newuidmap": "uidmap", "setpriv": "util-linux", "useradd": "passwd"}
"""Commands of the rootless tests, and their Debian packages."""
COPY_LIMIT = 240.0
"""Seconds to copy the image to the user; it takes ten."""
DRIVERS = ("overlay", "vfs")
"""Storage of the user's images: the kernel's overlay, else plain copies, which work on any file system."""


@dataclass(frozen=True)
class Engine:
    """Podman: `command` with its prefix, and the `options` of `run` that work here."""

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()

    def output(self, *arguments: str, limit: float = 60.0) -> str:
        """The output of podman with these arguments.

        Raises:
            CommandError: it failed, or took more than `limit` seconds.
        """
        return output(*self.command, *arguments, limit=limit)

    def with_options(self, image: str) -> Engine | None:
        """This engine with options that work here; None if no container runs."""
        options = find_run_options(self.command, image)
        return None if options is None else replace(self, options=options)


@contextmanager
def rootless_engine(prefix: Sequence[str], image: str) -> Generator[Engine]:
    """Podman as an ordinary user with the image; both are removed after the block.

    Raises:
        MissingError: this machine can't do that.
        CommandError: the image can't be copied.
    """
    missing = [f"{command} (Debian: {package})" for command, package in NEEDED.items() if not shutil.which(command)]
    if missing:
        raise MissingError(f"needs {' and '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="trioworker-", dir="/var/tmp") as home:
        Path(home).chmod(0o711)
        user = _make_user(Path(home))
        try:
            yield _with_image(prefix, image, user, Path(home))
        finally:
            _kill_all(user)
            succeeds("userdel", "--force", USER)


def _make_user(home: Path) -> pwd.struct_passwd:
    succeeds("userdel", "--force", USER)  # left by a run that was killed
    try:
        output("useradd", "--home-dir", str(home / "user"), "--create-home", "--shell", "/bin/sh", USER)
    except CommandError as error:
        raise MissingError(f"can't create an ordinary user: {error}") from error
    user = pwd.getpwnam(USER)
    if not all(USER in Path(file).read_text() for file in ("/etc/subuid", "/etc/subgid") if Path(file).exists()):
        succeeds("userdel", "--force", USER)
        raise MissingError("useradd assigned no subordinate ids; see SUB_UID_COUNT in /etc/login.defs")
    return user


def _with_image(prefix: Sequence[str], image: str, user: pwd.struct_passwd, home: Path) -> Engine:
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, user.pw_uid, user.pw_gid)
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups")
    # Without systemd, root's bus would not reply.
    environment = ("env", "--chdir=/", "--unset=DBUS_SESSION_BUS_ADDRESS", f"XDG_RUNTIME_DIR={runtime}")
    session = (*prefix, *become, *environment, f"HOME={user.pw_dir}", f"USER={USER}", f"LOGNAME={USER}")
    archive = home / "image.tar"
    save = ("podman", "save", "--quiet", "--format", "docker-archive", "--output", str(archive), image)
    output(*prefix, *save, limit=COPY_LIMIT)
    archive.chmod(0o644)
    for driver in DRIVERS:
        storage = Path(user.pw_dir) / driver
        podman = (*session, "podman", "--storage-driver", driver, "--root", str(storage))
        if succeeds(*podman, "load", "--quiet", "--input", str(archive), limit=COPY_LIMIT):
            archive.unlink()
            if engine := Engine("rootless", podman).with_options(image):
                return engine
            raise MissingError(f"no container runs; try `podman run --rm {image} --version` as an ordinary user")
    raise MissingError("an ordinary user's podman can't store an image here: user namespaces may be disabled")


def _kill_all(user: pwd.struct_passwd) -> None:
    """Kill the user's processes: podman keeps one that holds its namespace."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid == user.pw_uid:
                os.kill(int(path.name), signal.SIGKILL)


def remove_volumes(engine: Engine, volumes: Sequence[str]) -> None:
    """Remove volumes that may not exist."""
    subprocess.run((*engine.command, "volume", "rm", "--force", *volumes), capture_output=True, check=False)
