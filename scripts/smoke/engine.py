"""Podman as root, and as an ordinary user made for the purpose: the same commands behind another prefix."""

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

from smoke.commands import BrokenError, SkippedError, output, works
from smoke.machine import way_to_run

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

USER = "trioworker-smoke"
"""The ordinary user that root makes for the rootless part, and takes away again."""
NEEDED = {"newuidmap": "uidmap", "setpriv": "util-linux", "useradd": "passwd"}
"""What the rootless part calls, and the Debian package of each."""
MOST_COPY = 240.0
"""Seconds that handing the image over to the user may take; it needs ten."""
DRIVERS = ("overlay", "vfs")
"""Where the user's images are stored: on the kernel's overlay, else as plain copies, which any file system can do."""


@dataclass(frozen=True)
class Engine:
    """How containers are run: `command` is podman as somebody, `way` the options with which they run here."""

    name: str
    command: tuple[str, ...] = ("podman",)
    way: tuple[str, ...] = ()

    def output(self, *arguments: str, limit: float = 60.0) -> str:
        """What podman says to these arguments.

        Raises:
            BrokenError: it fails, or takes longer than `limit` seconds.
        """
        return output(*self.command, *arguments, limit=limit)

    def on_way(self, image: str) -> Engine | None:
        """This engine with a way that works here; None if no container runs."""
        way = way_to_run(self.command, image)
        return None if way is None else replace(self, way=way)


def own_engine() -> Engine:
    """Podman as whoever we are."""
    return Engine("rootful" if os.geteuid() == 0 else "rootless")


@contextmanager
def rootless_engine(image: str) -> Generator[Engine]:
    """Podman as an ordinary user, who has the image; both are gone after the block.

    Raises:
        SkippedError: this machine has no such thing.
        BrokenError: the image can't be handed over.
    """
    missing = [f"{command} (Debian: {package})" for command, package in NEEDED.items() if not shutil.which(command)]
    if missing:
        raise SkippedError(f"rootless: {' and '.join(missing)} not found")
    with tempfile.TemporaryDirectory(prefix="smoke-", dir="/var/tmp") as home:
        Path(home).chmod(0o711)
        user = _make_user(Path(home))
        try:
            yield _with_image(image, user, Path(home))
        finally:
            _end_all(user)
            works("userdel", "--force", USER)


def _make_user(home: Path) -> pwd.struct_passwd:
    works("userdel", "--force", USER)  # a run that was killed left it
    try:
        output("useradd", "--home-dir", str(home / "user"), "--create-home", "--shell", "/bin/sh", USER)
    except BrokenError as error:
        raise SkippedError(f"rootless: no ordinary user can be made: {error}") from error
    user = pwd.getpwnam(USER)
    if not all(USER in Path(file).read_text() for file in ("/etc/subuid", "/etc/subgid") if Path(file).exists()):
        works("userdel", "--force", USER)
        raise SkippedError("rootless: useradd gave no subordinate ids; SUB_UID_COUNT in /etc/login.defs tells how many")
    return user


def _with_image(image: str, user: pwd.struct_passwd, home: Path) -> Engine:
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, user.pw_uid, user.pw_gid)
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups")
    # Where no systemd runs, the bus that root has would be asked in vain.
    environment = ("env", "--chdir=/", "--unset=DBUS_SESSION_BUS_ADDRESS", f"XDG_RUNTIME_DIR={runtime}")
    session = (*become, *environment, f"HOME={user.pw_dir}", f"USER={USER}", f"LOGNAME={USER}")
    archive = home / "image.tar"
    output("podman", "save", "--quiet", "--format", "docker-archive", "--output", str(archive), image, limit=MOST_COPY)
    archive.chmod(0o644)
    for driver in DRIVERS:
        storage = Path(user.pw_dir) / driver
        podman = (*session, "podman", "--storage-driver", driver, "--root", str(storage))
        if works(*podman, "load", "--quiet", "--input", str(archive), limit=MOST_COPY):
            archive.unlink()
            if engine := Engine("rootless", podman).on_way(image):
                return engine
            raise SkippedError(f"rootless: no container runs; try `podman run --rm {image} --version` as a user")
    raise SkippedError("rootless: an ordinary user's podman can keep no image here: user namespaces may be forbidden")


def _end_all(user: pwd.struct_passwd) -> None:
    """End what podman keeps running for the user: the process that holds its namespace."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid == user.pw_uid:
                os.kill(int(path.name), signal.SIGKILL)


def remove_volumes(engine: Engine, volumes: Sequence[str]) -> None:
    """Remove volumes, there or not."""
    subprocess.run((*engine.command, "volume", "rm", "--force", *volumes), capture_output=True, check=False)
