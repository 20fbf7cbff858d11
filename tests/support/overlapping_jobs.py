"""A program that embeds jobs: `python -m support.overlapping_jobs WHERE CONTAINMENT ROUNDS FOLDER`.

In each round, ten overlapping jobs run commands: in one `trio.run` in the `main` thread, or each in one of its own in
`threads`. Meanwhile, the program runs commands of its own. It prints what went wrong, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import trio

from trioworker import run_job
from trioworker.linux.procfs import process_table
from trioworker.testing import DONE, SimulatedOrchestrator, call

JOBS = 10
CHANGED = signal.SIGUSR1
"""A signal that this program handles."""


def main(where: str, containment: str, rounds: int, folder: Path) -> dict[str, Any]:
    signal.signal(CHANGED, _handler)
    before = handlers()
    problems: list[str] = []
    for number in range(rounds):
        folders = [folder / f"{number}-{job}" for job in range(JOBS)]
        for each in folders:
            each.mkdir()
        ended = threading.Event()
        own = threading.Thread(target=run_own_commands, args=(ended, problems))
        own.start()
        if where == "main":
            trio.run(run_all, folders, containment, problems)
        else:
            threads = [
                threading.Thread(target=trio.run, args=(run_one, each, containment, problems)) for each in folders
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        ended.set()
        own.join()
        run_own_command(problems)
    return {
        "problems": problems,
        "changed": [name for name, handler in handlers().items() if handler != before[name]],
        "children": [entry.pid for entry in process_table().get(os.getpid(), ())],
    }


async def run_all(folders: list[Path], containment: str, problems: list[str]) -> None:
    async with trio.open_nursery() as nursery:
        for each in folders:
            nursery.start_soon(run_one, each, containment, problems)


async def run_one(folder: Path, containment: str, problems: list[str]) -> None:
    """Run a job whose commands take some time, fail, and leave processes behind in every way."""
    commands = [
        f"sleep 0.{int(folder.name[-1])}; (sleep 300 &) ; (setsid sleep 300 &); exit {int(folder.name[-1])}",
        "(setsid env -i sleep 0.05 &); (setsid env -i sh -c 'exit 3' &); true",
        "sleep 0.2; echo third",
    ]
    world = SimulatedOrchestrator([*(call("shell", command=command) for command in commands), DONE], thinking=0.0)
    try:
        outcome = await run_job(world.config(folder, containment=containment), transport=world)
    except Exception as error:  # the thread would only print it
        problems.append(f"{folder.name}: {error!r}")
        return
    codes = [event.get("exit_code") for event in world.of_type("tool_result")]
    texts = [event["output"] for event in world.of_type("tool_result")]
    if not outcome.success or codes != [int(folder.name[-1]), 0, 0] or "third" not in texts[-1]:
        problems.append(f"{folder.name}: {outcome.message!r}, {codes}, {texts}")


def run_own_commands(ended: threading.Event, problems: list[str]) -> None:
    while not ended.wait(0.02):
        run_own_command(problems)


def run_own_command(problems: list[str]) -> None:
    result = subprocess.run(["sh", "-c", "echo own; exit 7"], capture_output=True, text=True)
    if (result.returncode, result.stdout) != (7, "own\n"):
        problems.append(f"the program's own command: {result}")


def handlers() -> dict[str, Any]:
    return {str(int(number)): signal.getsignal(number) for number in signal.valid_signals()}


def _handler(*_: object) -> None:
    pass


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))))
