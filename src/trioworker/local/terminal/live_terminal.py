"""A live line and a line editor in a terminal: drawing, reading keys, signals of the terminal."""

from __future__ import annotations

import math
import signal
import time
from typing import TYPE_CHECKING

import trio

from trioworker.local.stdin_lines import read_available
from trioworker.local.terminal.cells import in_whole_words
from trioworker.local.terminal.line_editor import LineEditor
from trioworker.local.terminal.modes import PASTE_OFF, PASTE_ON, KeyMode, columns, is_foreground
from trioworker.local.terminal.screen import Bottom, Screen
from trioworker.observability.terminal_text import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.local.activity import Activity
    from trioworker.local.terminal.screen import Output

STDIN, STDOUT = 0, 1
REDRAW_INTERVAL = 0.25
"""Seconds between looks at what has changed. Only changes are written."""
SUSPEND_TIMEOUT = 0.5
"""Seconds that the terminal gets to accept the last output before the process stops."""
PROMPT = "> "


class LiveTerminal:
    """Shows what the job waits for. With `send`, it also reads follow-ups.

    In the background (`trioworker … &`, `bg`) it only prints: another process uses the terminal.

    Attributes:
        screen: where all output goes.
    """

    def __init__(self, output: Output, activity: Activity, send: Callable[[str], None] | None) -> None:
        self.screen = Screen(output, lambda: columns(STDOUT))
        self._output = output
        self._activity = activity
        self._send = send
        self._editor = LineEditor() if send else None
        self._keys = KeyMode(STDIN)
        self._active = False
        self._activated = trio.Event()

    @property
    def unsent(self) -> str:
        """A follow-up that was typed and not sent."""
        return self._editor.text.strip() if self._editor else ""

    def print_notice(self, text: str) -> None:
        """Print lines in whole words above the bottom lines."""
        self.screen.print(in_whole_words(text, columns(STDOUT)))

    async def run(self) -> None:
        """Draw and read until cancelled. The caller calls `close` in any case."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._handle_signals)
            nursery.start_soon(self._keep_drawing)
            if self._editor is not None:
                nursery.start_soon(self._read_keys, self._editor)

    def refresh(self, *, anew: bool = False) -> None:
        """Enter or leave the foreground, and draw the bottom lines if they changed or `anew`."""
        foreground = is_foreground(STDIN if self._editor else STDOUT)
        if foreground and not self._active:
            self._enter()
        elif self._active and not foreground:
            self.close()
        if self._active:
            self.screen.draw(self._bottom(), anew=anew)

    def close(self) -> None:
        """Remove the bottom lines and restore the terminal's modes."""
        if self._active:
            self._active = False
            self._activated = trio.Event()
            self.screen.erase()
            if self._editor is not None:
                self.screen.send(PASTE_OFF)
                self._keys.leave()

    def _enter(self) -> None:
        self._active = True
        if self._editor is not None:
            self._keys.enter()
            self.screen.send(PASTE_ON)
        self._activated.set()

    def _bottom(self) -> Bottom:
        live = self._activity.line(time.time(), columns(STDOUT) - 1)
        if self._editor is None or self._editor.ended:
            return Bottom(live)
        text, cursor = self._editor.render(columns(STDOUT) - 1 - columns_of(PROMPT))
        return Bottom(live, PROMPT, text, cursor)

    async def _keep_drawing(self) -> None:
        while True:
            self.refresh()
            await trio.sleep(REDRAW_INTERVAL)

    async def _read_keys(self, editor: LineEditor) -> None:
        while not editor.ended:
            await self._activated.wait()
            with trio.move_on_after(math.inf if editor.timeout is None else editor.timeout) as waiting:
                await trio.lowlevel.wait_readable(STDIN)
            if waiting.cancelled_caught:
                self._take(editor.give_up())
            elif is_foreground(STDIN):
                data = read_available(STDIN)
                if data == b"":
                    return
                self._take(editor.feed(data or b""))
            self.refresh(anew=editor.redraw)
            editor.redraw = False

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            if self._send is not None:
                self._send(line)
                self._activity.queued += 1

    async def _handle_signals(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        numbers = [signal.SIGWINCH, signal.SIGCONT]
        # A shell without job control ignores it.
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            numbers.append(signal.SIGTSTP)
        with trio.open_signal_receiver(*numbers) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGTSTP:
                    self._suspend()
                elif number == signal.SIGCONT:
                    # The shell has used the terminal and changed its modes, even if SIGSTOP stopped us.
                    self.screen.forget()
                    self._active = False
                self.refresh(anew=True)

    def _suspend(self) -> None:
        """Stop this process, as Ctrl-Z does by default; returns when it is continued."""
        self.close()
        self._output.drain(SUSPEND_TIMEOUT)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
