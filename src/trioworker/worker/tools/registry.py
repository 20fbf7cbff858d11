"""The built-in tools, and a job's tools by name. A new tool is one file and one line here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import msgspec

from trioworker.errors import ConfigError, ToolError
from trioworker.worker.tools.apply_patch import ApplyPatch
from trioworker.worker.tools.base import Parameters, Tool, definition
from trioworker.worker.tools.glob import Glob
from trioworker.worker.tools.grep import Grep
from trioworker.worker.tools.list_dir import ListDir
from trioworker.worker.tools.read_file import ReadFile
from trioworker.worker.tools.shell import Shell
from trioworker.worker.tools.tool_names import MAX_QUOTED, instead_of
from trioworker.worker.tools.write_file import WriteFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.protocol.wire import ToolDefinition
    from trioworker.worker.tools.base import AnyTool

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
        definitions: their descriptions for the model, in the order given.
        encoded: the same as JSON, encoded once for all requests.
        reading: the names of those that only read.

    Raises:
        ConfigError: something isn't a usable tool, or two tools have the same name.
    """

    def __init__(self, tools: Iterable[AnyTool] = BUILTIN_TOOLS) -> None:
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            _check(tool)
            if tool.name in self._tools:
                raise ConfigError(f"two tools are named {tool.name!r}; give each its own name")
            self._tools[tool.name] = tool
        self.definitions: tuple[ToolDefinition, ...] = tuple(map(_definition, self._tools.values()))
        self.encoded = msgspec.Raw(msgspec.json.encode(self.definitions))
        self.reading = frozenset(tool.name for tool in self._tools.values() if tool.reads_only)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in the order given."""
        return tuple(self._tools)

    def get(self, name: str) -> AnyTool:
        """The tool of that name.

        Raises:
            ToolError: no tool has that name; the message says which one to use instead.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError(f"tool {name[:MAX_QUOTED]!r} not found; {instead_of(name, self.names)}")
        return tool


def _definition(tool: AnyTool) -> ToolDefinition:
    try:
        return definition(tool)
    except TypeError as error:
        raise ConfigError(f"{type(tool).__name__}: the parameters have no JSON Schema: {error}") from error


def _check(tool: object) -> None:
    """Refuse what a provider or the executor would reject later.

    Raises:
        ConfigError: it isn't a tool, or lacks an attribute.
    """
    name, description, parameters = (getattr(tool, key, None) for key in ("name", "description", "parameters"))
    kind = type(tool).__name__
    if isinstance(tool, type) and issubclass(cast("type[object]", tool), Tool):
        raise ConfigError(f"{tool.__name__} is a class of tools; pass an instance: {tool.__name__}()")
    if not isinstance(tool, Tool):
        raise ConfigError(f"{tool!r:.80} is not a tool: it isn't an instance of trioworker.Tool")
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise ConfigError(f"{kind}: the name {name!r:.80} is not 1 to 64 letters, digits, underscores and hyphens")
    if not isinstance(description, str):
        raise ConfigError(f"{kind}: the description {description!r:.80} is not text")
    if not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        raise ConfigError(f"{kind}: the parameters {parameters!r:.80} are not a subclass of trioworker.Parameters")
