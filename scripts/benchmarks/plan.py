"""What the benchmark's orchestrator receives about a job, and what it reports afterwards; how much is measured."""

from __future__ import annotations

from typing import Any

import msgspec

NOOP_TOOL = "read_file"
NOOP_FILE = "empty.txt"
"""Reading an empty file stands for a tool that does nothing: every worker has it, it starts no process and returns
some 100 bytes, and the call still takes the worker's whole path."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to one LLM request: `calls` calls of the tool.

    With `settled` the reply waits until the worker has posted nothing for a while. `label` marks turns to measure.
    """

    calls: int = 1
    name: str = NOOP_TOOL
    arguments: dict[str, Any] = msgspec.field(default_factory=lambda: {"path": NOOP_FILE})
    settled: bool = False
    label: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A job: its turns, then completion; the seconds that an LLM request and any other request take."""

    turns: tuple[Turn, ...]
    model_seconds: float = 0.0
    other_seconds: float = 0.0


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request: the times of its first byte and of its reply's last byte, in ns of `perf_counter_ns`.

    Only LLM requests have `messages`, and `cpu`: the CPU time in ns that the worker's process had used.
    """

    path: str
    began: int
    replied: int
    messages: int = 0
    cpu: int | None = None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """All exchanges of a job, in the order of their replies; `peak_kib` is the worker's peak memory at its report."""

    exchanges: tuple[Exchange, ...] = ()
    peak_kib: int | None = None

    def of(self, prefix: str) -> list[Exchange]:
        """The exchanges whose path starts with the prefix."""
        return [one for one in self.exchanges if one.path.startswith(prefix)]


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured; by default, in full. `model_seconds` exceeds our minimum iteration interval of 0.1 s."""

    name: str = "full"
    runs: int = 5
    short_runs: int = 15  # of start and tracing
    long_runs: int = 5  # of growth, memory and safety
    iterations: int = 50
    model_seconds: float = 0.15
    delays_ms: tuple[int, ...] = (0, 20, 100)
    sizes: tuple[int, ...] = (10, 100, 1_000, 5_000)
    probes: int = 10
    results: int = 50
    output_bytes: int = 200_000_000
    event_calls: int = 1_000
    text_bytes: int = 1_000_000
    fleet: int = 50


_quick = {"name": "quick", "runs": 3, "short_runs": 5, "long_runs": 1, "iterations": 6, "model_seconds": 0.11}
_quick |= {"delays_ms": (0, 40), "sizes": (10, 200), "probes": 5, "results": 5}
_quick |= {"output_bytes": 20_000_000, "event_calls": 100, "fleet": 4}
_smoke = {"name": "smoke", "runs": 1, "short_runs": 1, "long_runs": 1, "iterations": 2, "model_seconds": 0.0}
_smoke |= {"delays_ms": (0, 1), "sizes": (10, 20), "probes": 1, "results": 1}
_smoke |= {"output_bytes": 1_000_000, "event_calls": 4, "text_bytes": 20_000, "fleet": 2}

FULL = Scale()
QUICK = msgspec.convert(_quick, Scale)
"""For CI: under 90 s on two cores. Its ratios differ from those of the full scale."""
SMOKE = msgspec.convert(_smoke, Scale)
"""Runs everything once; the figures mean nothing."""
