"""The type of the fixture by which the tools' tests call a tool."""

from __future__ import annotations

from typing import Any, Protocol


class Call(Protocol):
    """Calls a tool by name with the arguments a model would send; gives its result."""

    async def __call__(self, name: str, /, **arguments: Any) -> Any: ...
