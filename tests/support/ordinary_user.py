"""Runs the program as an ordinary user where the tests run as root."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BECOME = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")
_PROBE = "import os, sys, trioworker.worker.api; os.stat(sys.executable)"


def python_of_an_ordinary_user() -> tuple[list[str], dict[str, str]]:
    """A command that starts Python as an ordinary user, and its environment. Skips the test if there is none.

    The interpreter of the tests may be in root's home, which others can't enter; the system's is tried then.
    """
    if os.getuid() != 0:
        return [sys.executable], {}
    paths = os.pathsep.join(path for path in sys.path if path.endswith(("site-packages", "src")))
    for python, environment in ((sys.executable, {}), ("/usr/bin/python3", {"PYTHONPATH": paths})):
        command = [*BECOME, python]
        tried = subprocess.run([*command, "-c", _PROBE], env={**os.environ, **environment}, capture_output=True)
        if tried.returncode == 0:
            return command, environment
    pytest.skip("user 1000 can't run the interpreter of the tests, nor /usr/bin/python3 with its packages")
