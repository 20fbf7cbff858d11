"""The type of the fixture by which tests call a tool."""

from __future__ import annotations

from typing import Any, Protocol


class Call(Protocol):
    """Calls a tool by name, with arguments as a model sends them, and returns its result."""

    async def __call__(self, name: str, /, **arguments: Any) -> Any: ...


def entries(result: str) -> list[str]:
    """The lines of a result, without the remarks at its end."""
    return [line for line in result.split("\n") if not line.startswith("[")]


def remarks(result: str) -> list[str]:
    """The remarks at the end of a result, without their brackets."""
    return [line[1:-1] for line in result.split("\n") if line.startswith("[")]
