"""Programs that are frozen by SIGSTOP until after the deadlines of what they wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import time
import trio
from trioworker.supervision.catch_up_clock import CatchUpClock

async def child():
    process = await trio.lowlevel.open_process(["sleep", "0.2"])
    await process.wait()

async def thread():
    await trio.to_thread.run_sync(time.sleep, 0.2, abandon_on_cancel=True)

async def response():
    sender, receiver = trio.socket.socketpair()
    await trio.lowlevel.open_process(["sh", "-c", "sleep 0.2; echo done"], stdout=sender.fileno())
    await receiver.recv(100)

async def nothing():
    await trio.sleep(100)

async def wait_for(name, work):
    has_ended = False
    with trio.move_on_after(1.1):
        with trio.move_on_after(1.0):
            await work()
            has_ended = True
    print(name, "ended" if has_ended else "timed out")

async def main():
    async with trio.open_nursery() as nursery:
        for work in (child, thread, response, nothing):
            nursery.start_soon(wait_for, work.__name__, work)
        await trio.sleep(0.1)
        print("ready", flush=True)

trio.run(main, clock=CatchUpClock())
"""
FROZEN = 2.5
"""Seconds: longer than the deadlines of the program, by more than a stall."""


@pytest.mark.integration
def test_what_happened_while_frozen_comes_before_the_deadlines_that_passed() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN)
        program.send_signal(signal.SIGCONT)
        lines = program.stdout.read().splitlines()
    assert sorted(lines) == ["child ended", "nothing timed out", "response ended", "thread ended"]
