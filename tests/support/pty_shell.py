"""A shell with job control in a pseudo-terminal, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.terminal_screen import TerminalScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

LINES = 50
WAIT_TIMEOUT = 30.0
SHELL = ("bash", "--norc", "--noprofile", "--noediting", "-i")
"""Without its line editor, the shell leaves the terminal's modes alone."""


class Terminal:
    """The terminal that a program runs in, as a person sees and uses it."""

    def __init__(self, master: int, slave: int, columns: int) -> None:
        self._master = master
        self._slave = slave
        self.screen = TerminalScreen(columns, LINES)
        self.received = b""
        self.resize(columns)

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        os.write(self._master, text.encode() if isinstance(text, str) else text)

    def resize(self, columns: int) -> None:
        """Change the window's width."""
        self.screen.resize(columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))

    @property
    def modes(self) -> list[Any]:
        """The terminal's modes."""
        return termios.tcgetattr(self._slave)

    @property
    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed."""
        return bool(self.modes[3] & termios.ECHO)

    def until(self, condition: Callable[[list[str]], object]) -> list[str]:
        """Wait until the shown rows meet the condition, and return them."""
        deadline = time.monotonic() + WAIT_TIMEOUT
        while not condition(rows := self.screen.rows()):
            left = deadline - time.monotonic()
            assert left > 0, "\n".join(rows)
            if select.select([self._master], [], [], left)[0]:
                data = os.read(self._master, 65536)
                self.received += data
                self.screen.write(data)
        return rows

    def until_text(self, text: str) -> list[str]:
        """Wait until a row contains the text."""
        return self.until(lambda rows: any(text in row for row in rows))


@contextmanager
def in_terminal(
    *command: str, columns: int = 100, environment: Mapping[str, str] | None = None
) -> Generator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """A program, by default a shell, in a terminal of its own; killed at the end."""
    master, slave = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOWORKER_")}
    variables = {**inherited, "TERM": "xterm-256color", "PS1": "shell> ", **(environment or {})}
    try:
        with subprocess.Popen(
            ["setsid", "--ctty", *(command or SHELL)], stdin=slave, stdout=slave, stderr=slave, env=variables
        ) as process:
            try:
                yield Terminal(master, slave, columns), process
            finally:
                process.kill()
    finally:
        os.close(master)
        os.close(slave)
