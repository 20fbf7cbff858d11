"""Child processes that are no workers: the bare import line, and measures that need a process of their own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from time import perf_counter
from typing import TypeVar

import msgspec
from benchmarks.figures import UnmeasuredError
from benchmarks.workers import environment

T = TypeVar("T")

BARE_LINE = "import trio, httpx, msgspec, loguru"
"""The import line that a start is held against: what any worker on these libraries pays."""


def bare_line() -> float:
    """Seconds of a process that imports the libraries and ends."""
    began = perf_counter()
    subprocess.run([sys.executable, "-c", BARE_LINE], check=True, stdin=subprocess.DEVNULL, env=environment())
    return perf_counter() - began


def child_json(module: str, *arguments: str, wanted: type[T]) -> T:
    """What a module of the benchmark prints, run as a process of its own.

    Raises:
        UnmeasuredError: it failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment()
    )
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(done.stdout, type=wanted)
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    raise UnmeasuredError(f"{module}: {lines[-1]}")
