"""The type of the fixture by which tests call a tool."""

from __future__ import annotations

from typing import Any, Protocol


class Call(Protocol):
    """Calls a tool by name, with arguments as a model sends them, and returns its result."""

    async def __call__(self, name: str, /, **arguments: Any) -> Any: ...
