"""Opens the terminal of a job: with a live line and a line editor where that works, else as plain lines."""

from __future__ import annotations

import os
import sys
import textwrap
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import trio

from trioworker.local.stdin_lines import follow_lines
from trioworker.local.terminal.modes import columns, is_foreground
from trioworker.observability.bounded_stream import BoundedStream
from trioworker.observability.notices import print_notice
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trioworker.local.activity import Activity

STDIN, STDOUT, STDERR = 0, 1, 2
UNSENT_CHARACTERS = 200
"""Characters of an unsent follow-up that are shown."""


class Terminal(NamedTuple):
    """Where a job's output goes."""

    print: Callable[[str], object]
    """Prints whole lines to standard output, without waiting."""
    worker_stderr: int | None = None
    """The descriptor for the worker's log; None for our standard error."""


def is_rich() -> bool:
    """Whether standard output is a terminal that understands control sequences."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@asynccontextmanager
async def open_terminal(
    activity: Activity, send: Callable[[str], None], *, json_lines: bool, read_pipe: bool
) -> AsyncGenerator[Terminal]:
    """The terminal while the job runs. On exit, the bottom lines are removed and the terminal's modes restored.

    `send` takes a follow-up. They are read from standard input if it is a terminal, or with `read_pipe` a pipe.
    """
    typing = is_foreground(STDIN)
    output = sys.stdout
    live = output if is_rich() and not json_lines and isinstance(output, BoundedStream) else None
    if not json_lines and sys.stdout.isatty() and is_foreground(STDOUT):
        sys.stdout.write(introduction(columns(STDOUT), typing=typing))
    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            if read_pipe or (os.isatty(STDIN) and live is None):
                nursery.start_soon(follow_lines, STDIN, send)
            if live is not None:
                async with _open_live(live, activity, send if os.isatty(STDIN) else None) as terminal:
                    yield terminal
            else:
                yield Terminal(sys.stdout.write)
            nursery.cancel_scope.cancel()


def introduction(width: int, *, typing: bool) -> str:
    """The first lines: what a person at the terminal can do."""
    more = "; type a follow-up at any time, and send it with Enter" if typing else ""
    return f"{textwrap.fill(f'Ctrl-C stops the job{more}', width, break_on_hyphens=False)}\n"


@asynccontextmanager
async def _open_live(
    output: BoundedStream, activity: Activity, send: Callable[[str], None] | None
) -> AsyncGenerator[Terminal]:
    # Deferred: only a terminal needs Rich, which is slow to import.
    from trioworker.local.terminal.live_terminal import LiveTerminal
    from trioworker.local.terminal.stderr import is_same_terminal, notices_above, open_log_pipe

    live = LiveTerminal(output, activity, send)
    try:
        async with AsyncExitStack() as stack:
            worker_stderr = None
            if is_same_terminal(STDOUT, STDERR):
                stack.enter_context(notices_above(live.print_notice))
                worker_stderr = (await stack.enter_async_context(open_log_pipe(live.print_notice))).writer
            stack.enter_context(unwrap_single_exception())
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(live.run)
            yield Terminal(live.screen.print, worker_stderr)
            nursery.cancel_scope.cancel()
    finally:
        live.close()
    if live.unsent:
        print_notice(f"not sent, since the job has ended: {live.unsent[:UNSENT_CHARACTERS]}")
