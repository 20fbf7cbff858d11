"""Runs a credential plugin: without standard input, with limits on its time and its output."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLUGIN_TIMEOUT = 60.0
"""Seconds for one run. The slowest plugins start a Python program that requests a token from a cloud."""
OUTPUT_GRACE = 1.0
"""Seconds for reading output after a plugin has ended: a process that it left behind may keep the pipe open."""
MAX_OUTPUT = 1024 * 1024
MAX_ERROR_BYTES = 4096
MAX_REASON = 500


async def run_plugin(command: Sequence[str], environment: Mapping[str, str], limit: float = PLUGIN_TIMEOUT) -> bytes:
    """Return what the plugin prints. `limit` is in seconds.

    Raises:
        ValueError: it fails. The message says what it did, to follow its name.
    """
    out, err = _Output(), _Output()
    with trio.move_on_after(limit) as scope:
        code = await _run(command, environment, out, err)
        if out.is_too_long or err.is_too_long:
            raise ValueError(f"printed more than {MAX_OUTPUT} bytes; check that it is the right program")
        if code:
            raise ValueError(f"failed with {_code(code)}: {_reason(err.content)}; log in with your provider's tool")
        return bytes(out.content)
    assert scope.cancelled_caught  # noqa: S101 - otherwise it has returned
    raise ValueError(f"did not end within {limit:g} s; run kubectl once, in case it waits for a login")


class _Output:
    def __init__(self) -> None:
        self.content = bytearray()
        self.is_too_long = False

    async def read(self, stream: trio.abc.ReceiveStream, stop: trio.CancelScope) -> None:
        """Read to the end, or cancel `stop` if there is too much output."""
        async with stream:
            async for chunk in stream:
                self.content += chunk
                if len(self.content) > MAX_OUTPUT:
                    self.is_too_long = True
                    stop.cancel()


async def _run(command: Sequence[str], environment: Mapping[str, str], out: _Output, err: _Output) -> int | None:
    """Run the program, and return its exit code, or None if it was stopped because of its output."""
    start = partial(
        trio.run_process,
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=dict(environment),
        # Ctrl-C must not reach the plugin, and its children are killed with it as a group.
        start_new_session=True,
        deliver_cancel=_kill,
    )
    code = None
    try:
        with unwrap_single_exception():
            async with trio.open_nursery() as nursery:
                process: trio.Process = await nursery.start(start)
                assert process.stdout is not None  # noqa: S101 - a pipe
                assert process.stderr is not None  # noqa: S101 - a pipe
                nursery.start_soon(out.read, process.stdout, nursery.cancel_scope)
                nursery.start_soon(err.read, process.stderr, nursery.cancel_scope)
                code = await process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + OUTPUT_GRACE
    except OSError as error:
        raise ValueError(f"can't be run: {(error.strerror or str(error)).lower()}; reinstall it") from error
    return code


def _code(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _reason(err: bytearray) -> str:
    from trioworker.worker.redaction.secrets import Redactor

    text = bytes(err[-MAX_ERROR_BYTES:]).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalpha, line))]
    # After the error, some plugins print several lines on how to log in.
    errors = [line for line in lines if "error" in line.lower()]
    chosen = (errors or lines or ["it printed no reason"])[-1]
    return Redactor().redact(chosen).text[:MAX_REASON].rstrip(".")


async def _kill(process: trio.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await trio.lowlevel.checkpoint()
