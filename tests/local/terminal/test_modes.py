"""The terminal's modes."""

from __future__ import annotations

import os
import pty
import termios
from typing import TYPE_CHECKING

import pytest

from trioworker.local.terminal.modes import KeyMode, columns, is_foreground

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def terminal() -> Generator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_keys_are_read_without_echo_and_the_original_modes_are_restored(terminal: int) -> None:
    original = termios.tcgetattr(terminal)
    mode = KeyMode(terminal)
    for _ in range(2):
        mode.enter()
        mode.enter()
        assert not termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ICANON)
        # Ctrl-C and Ctrl-Z remain signals.
        assert termios.tcgetattr(terminal)[3] & termios.ISIG
        mode.leave()
        assert termios.tcgetattr(terminal) == original
    mode.leave()
    assert termios.tcgetattr(terminal) == original


def test_without_a_terminal_nothing_happens() -> None:
    with open(os.devnull, "rb") as file:
        mode = KeyMode(file.fileno())
        mode.enter()
        mode.leave()
        assert columns(file.fileno()) == 80
        assert not is_foreground(file.fileno())


def test_terminal_of_another_session_is_not_ours(terminal: int) -> None:
    assert not is_foreground(terminal)
