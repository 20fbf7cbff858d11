"""What the benchmark's orchestrator is told of a job, and what it tells of it afterwards."""

from __future__ import annotations

from typing import Any

import msgspec

NOOP_TOOL = "read_file"
NOOP_FILE = "empty.txt"
"""The tool that does nothing: reading an empty file. Every worker of the contract has it, it starts no process, walks
no folder and returns some 100 bytes; still it takes a worker's whole way from the call to the answer."""


def _noop_arguments() -> dict[str, Any]:
    return {"path": NOOP_FILE}


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to one LLM request: `calls` calls of the tool.

    `settled` holds the reply back until the worker has posted nothing for a while. `label` marks what is measured.
    """

    calls: int = 1
    name: str = NOOP_TOOL
    arguments: dict[str, Any] = msgspec.field(default_factory=_noop_arguments)
    settled: bool = False
    label: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A job: its turns, after which it is complete; seconds that the model and every other request take."""

    turns: tuple[Turn, ...]
    model_seconds: float = 0.0
    other_seconds: float = 0.0


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request: when its first byte came and when its reply's last byte went out, in ns of `perf_counter_ns`.

    `size` is the body's bytes. LLM requests alone have `messages`, and `cpu`: ns that the worker's process had used.
    """

    path: str
    began: int
    replied: int
    size: int
    messages: int = 0
    cpu: int | None = None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """All exchanges of a job in the order of their replies; `peak_kib` is the worker's largest memory, at the end."""

    exchanges: tuple[Exchange, ...] = ()
    peak_kib: int | None = None

    def of(self, *prefixes: str) -> list[Exchange]:
        """Those whose path starts with one of the prefixes."""
        return [one for one in self.exchanges if one.path.startswith(prefixes)]
