"""The users as whom programs are tested: the one who runs the tests, and a second one if that is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

UNPRIVILEGED = 1000
"""The user id of the other user, and of the group."""

AS_OTHER_USER = ("setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups")
_USERS = {"as-root": (), "as-other-user": AS_OTHER_USER} if os.getuid() == 0 else {"as-this-user": ()}

LIBRARIES = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith(("site-packages", "src")))}
"""Where a Python that is not that of the tests finds our packages and those that we need."""

as_each_user = pytest.mark.parametrize("become", _USERS.values(), ids=_USERS)
"""Runs a test for each user, with the start of a command line that runs a program as that user."""


@cache
def python_for(become: tuple[str, ...]) -> str:
    """A Python that the user can run; skips the test if there is none. It needs the variables of `LIBRARIES`."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path=os.defpath)):
        # By a shell, since setpriv itself may still search folders that the user may not.
        command = [*become, "sh", "-c", f"{python} -c 'import trioworker.worker.api'"]
        if python and subprocess.run(command, env={**os.environ, **LIBRARIES}, check=False).returncode == 0:
            return python
    pytest.skip("the other user can't run Python with our packages")


@contextmanager
def home_of(become: tuple[str, ...]) -> Generator[Path]:
    """A new folder that belongs to the user, with a workspace in it."""
    folder = Path(tempfile.mkdtemp(prefix="trioworker-home-"))
    try:
        (folder / "workspace").mkdir()
        if become:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
            os.chown(folder / "workspace", UNPRIVILEGED, UNPRIVILEGED)
        yield folder
    finally:
        shutil.rmtree(folder)
