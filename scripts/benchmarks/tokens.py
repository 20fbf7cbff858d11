"""Tokens: how much longer a result is than its text, and how much of each request a provider can have cached.

Both are counted in bytes of what the worker sends, so they don't depend on the machine.
"""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from benchmarks.figures import OURS, Figure
from benchmarks.orchestrator import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.harness import Bench

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "README.md",
    "docs/architecture.md",
    "pyproject.toml",
    "scripts/venv",
    "src/trioworker/orchestrator/event_streams.py",
    "src/trioworker/worker/api.py",
    "src/trioworker/worker/tools/shell_parser.py",
    "tests/cassettes/fix-a-bug.jsonl",
)
"""Real files of several kinds, each shorter than what one result shows."""
TARGET_READ = 1.15
"""Upper limit of a result of `read_file` over the file: 1.12, and 4 bytes for the number of each line."""
TARGET_SHELL = 1.03
"""Upper limit of a result of `shell` over the output: 200 bytes more than files of this size."""
TURNS = 40
CONTEXT_LIMIT = {"TRIOWORKER_CONTEXT_LIMIT": "40000"}
"""Low enough for several compactions in a job of `TURNS` turns."""
TARGET_NEW = 0.3
"""Upper limit of the share of sent bytes that the previous request did not begin with."""
TOLERANCE = 1.05
"""The figures are the same on every machine; they depend only on the files and the texts."""


def tokens(bench: Bench) -> Iterator[Figure]:
    """The sizes of results, and the new share of requests."""
    texts = [_copied(name, bench.workspace) for name in FILES]
    size = sum(len(text) for text in texts)
    for tool, target in (("read_file", TARGET_READ), ("shell", TARGET_SHELL)):
        figure = _figure(f"{tool}: bytes shown over bytes of the text", target)
        requests = _requests(bench, [_call(tool, name) for name in FILES])
        figure.add(OURS, sum(map(_size, _results(requests[-1]))) / size)
        yield figure
    figure = _figure(f"part of {TURNS} requests that the one before did not begin with", TARGET_NEW)
    calls = [_call(("read_file", "shell")[turn % 3 == 2], FILES[turn % len(FILES)]) for turn in range(TURNS)]
    requests = _requests(bench, calls)
    sent = sum(map(len, requests[1:]))
    figure.add(OURS, 1 - sum(_common(*pair) for pair in pairwise(requests)) / sent)
    yield figure


def _figure(name: str, target: float) -> Figure:
    return Figure(measure="tokens", name=name, unit="x", against="", target=target, tolerance=TOLERANCE)


def _copied(name: str, workspace: Path) -> bytes:
    """Copy a file of the repository to the same place in the workspace, and return its content."""
    content = (ROOT / name).read_bytes()
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).write_bytes(content)
    return content


def _call(tool: str, name: str) -> Turn:
    """A call that shows the whole file."""
    arguments = {"command": f"cat {shlex.quote(name)}"} if tool == "shell" else {"path": name}
    return Turn(name=tool, arguments=arguments)


def _requests(bench: Bench, turns: Sequence[Turn]) -> list[bytes]:
    """The messages of each request of a job, as JSON."""
    job = bench.run(OURS, Plan(turns=tuple(turns), keeps_bodies=True), CONTEXT_LIMIT)
    bodies = [exchange.body for exchange in job.exchanges_of("llm/")]
    return [bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])["messages"]) for body in bodies]


def _results(messages: bytes) -> Iterator[str]:
    """The results of tools in a request."""
    decoded: list[dict[str, Any]] = msgspec.json.decode(messages)
    return (message["content"] for message in decoded if message["role"] == "tool")


def _size(text: str) -> int:
    return len(text.encode())


def _common(one: bytes, other: bytes) -> int:
    """The number of bytes at the start that both have."""
    shorter = min(len(one), len(other))
    return next((index for index in range(shorter) if one[index] != other[index]), shorter)
