"""The tools by name. A new tool is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trioworker.errors import ConfigError, ToolError
from trioworker.tools.base import definition
from trioworker.tools.globbing import Glob
from trioworker.tools.grep import Grep
from trioworker.tools.listing import ListDir
from trioworker.tools.patch import ApplyPatch
from trioworker.tools.reading import ReadFile
from trioworker.tools.shell import Shell
from trioworker.tools.writing import WriteFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.tools.base import AnyTool
    from trioworker.wire import ToolDefinition

BUILTIN_TOOLS: tuple[AnyTool, ...] = (
    Shell(),
    ReadFile(),
    WriteFile(),
    ListDir(),
    ApplyPatch(),
    Glob(),
    Grep(),
)


class Registry:
    """The tools of a job.

    Attributes:
        definitions: what the model is told of them, in the order given.
        encoded: the same as JSON, encoded once for all requests.
        reading: the names of those that only read.

    Raises:
        ConfigError: two tools have the same name.
    """

    def __init__(self, tools: Iterable[AnyTool] = BUILTIN_TOOLS) -> None:
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ConfigError(f"two tools are named {tool.name!r}; give each a name of its own")
            self._tools[tool.name] = tool
        self.definitions: tuple[ToolDefinition, ...] = tuple(map(definition, self._tools.values()))
        self.encoded = msgspec.Raw(msgspec.json.encode(self.definitions))
        self.reading = frozenset(tool.name for tool in self._tools.values() if tool.reads_only)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in the order given."""
        return tuple(self._tools)

    def get(self, name: str) -> AnyTool:
        """The tool of that name.

        Raises:
            ToolError: there is none.
        """
        try:
            return self._tools[name]
        except KeyError:
            raise ToolError(f"tool {name!r} not found") from None
