"""Starts a worker as a child process that ends with the process that started it.

The kernel's death signal (`linux/pdeathsig.py`) is sent when the *thread* that started the process ends, and trio ends
idle threads after some seconds. So a worker is started in the thread that waits for it, not by `trio.run_process`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trioworker.linux import pdeathsig
from trioworker.linux.procfs import kill_tree
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOREIGN_VARIABLES = ("OPENAI_API_KEY", TOKEN_VARIABLE)
"""Variables that a worker must not inherit: a key that it never needs, and another job's token."""


RELEASE_SIGNAL = signal.Signals(signal.SIGRTMAX)
"""Ends a worker without a decision or a report. Its processes are terminated, and its journal can be resumed, as after
SIGKILL. For a parent that is itself the orchestrator: once it has died, nobody can be told that the job was stopped.
"""


def start_worker(
    options: Sequence[str],
    token: str,
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `trioworker worker` with `options`; only its environment contains the token.

    It receives `death_signal` when the calling thread ends. Without `stderr`, it logs to our stderr.

    Raises:
        OSError: The worker can't be started.
    """
    # `-P` keeps modules in the working directory, which may be the job's, out of the worker.
    code = python_code("del sys.argv[0]; from trioworker.cli.entry import run; run()")
    worker = [sys.executable, "-P", "-c", code, "trioworker", "worker", *options]
    return subprocess.Popen(  # noqa: S603 - our own program; its options were checked
        [sys.executable, "-ISs", str(Path(pdeathsig.__file__)), str(os.getpid()), str(int(death_signal)), *worker],
        env=worker_environment(os.environ, token),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        # With a session of its own, Ctrl-C reaches only us, and we forward it as one SIGTERM.
        start_new_session=True,
    )


def kill_worker(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and everything that it started, unless it has ended, and reap it."""
    if process.poll() is None:
        kill_tree(process.pid)
    # SIGKILL can't be ignored: this wait is short.
    process.wait()


def python_code(statements: str) -> str:
    """Code that executes `statements` with our module search path, in any working directory.

    That path may not be the interpreter's: a zipapp (shiv, pex) extends it when it starts.
    """
    path = [os.path.abspath(folder) for folder in sys.path if folder]
    return f"import sys; sys.path[:] = {path!a}; {statements}"


def worker_environment(environ: Mapping[str, str], token: str) -> dict[str, str]:
    """The environment of a worker: ours, with its token and without `FOREIGN_VARIABLES`."""
    kept = {name: value for name, value in environ.items() if name not in FOREIGN_VARIABLES}
    return {**kept, TOKEN_VARIABLE: token}
