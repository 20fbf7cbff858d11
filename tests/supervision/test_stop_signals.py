"""Signals that stop a program, from its first moment on; each test runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import trioworker
from trioworker.supervision.early_signals import STOP_SIGNALS
from trioworker.supervision.stop_signals import signal_name

SOURCE = str(Path(trioworker.__file__).parent.parent)

RECEIVE = """
import os, signal, sys, trio
from trioworker.supervision.early_signals import EarlySignals
from trioworker.supervision.stop_signals import open_stop_receiver, signal_name

async def main():
    with open_stop_receiver() as signals:
        signal.raise_signal(signal.SIGTERM)
        with trio.move_on_after(60):
            async for number in signals:
                print(signal_name(number))
                if number == signal.SIGTERM:
                    break
"""


def output(program: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ended.stdout.split()


def test_early_signals_are_received_first_and_once() -> None:
    early = "EarlySignals().install()\nos.kill(os.getpid(), signal.SIGHUP)\nos.kill(os.getpid(), signal.SIGUSR1)\n"
    program = f"{RECEIVE}\n{early}trio.run(main)\nprint('-')\ntrio.run(main)"
    assert output(program) == ["SIGHUP", "SIGUSR1", "SIGTERM", "-", "SIGTERM"]


def test_signals_are_received_without_early_handling() -> None:
    assert output(f"{RECEIVE}\ntrio.run(main)") == ["SIGTERM"]


@pytest.mark.parametrize("install", ["EarlySignals().install()", ""])
def test_ignored_signals_stay_ignored(install: str) -> None:
    program = f"""{RECEIVE}
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
{install}
async def raise_and_receive():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(main)
        await trio.sleep(0)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            assert signal.getsignal(number) == signal.SIG_IGN
            signal.raise_signal(number)
trio.run(raise_and_receive)
"""
    assert output(program) == ["SIGTERM"]


def test_ignored_sigterm_is_received() -> None:
    program = f"{RECEIVE}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nEarlySignals().install()\ntrio.run(main)"
    assert output(program) == ["SIGTERM"]


def test_handler_of_someone_else_is_kept() -> None:
    program = f"""{RECEIVE}
signal.signal(signal.SIGUSR1, lambda *_: print("theirs"))
EarlySignals().install()
signal.raise_signal(signal.SIGUSR1)
trio.run(main)
"""
    assert output(program) == ["theirs", "SIGTERM"]


def test_every_signal_that_ends_a_process_is_a_stop_signal() -> None:
    # The others are ignored by default, stop or continue a process, can't be caught, or report a defect.
    others = {"CHLD", "URG", "WINCH", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "KILL", "PIPE", "XFSZ"}
    defects = {"SEGV", "BUS", "FPE", "ILL", "ABRT", "TRAP", "SYS"}
    names = {signal_name(number).removeprefix("SIG") for number in signal.valid_signals() - {*STOP_SIGNALS}}
    assert names <= others | defects


def test_real_time_signals_have_a_name() -> None:
    assert signal_name(signal.SIGTERM) == "SIGTERM"
    assert signal_name(signal.SIGRTMIN + 3) == f"signal {signal.SIGRTMIN + 3}"
