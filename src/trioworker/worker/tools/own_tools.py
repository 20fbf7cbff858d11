"""Loads the tools that `--tool MODULE:NAME` adds to the built-in ones."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, cast

from trioworker.errors import ConfigError
from trioworker.observability.named_object import describe, load_named
from trioworker.worker.tools.base import Parameters, Tool, definition
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trioworker.worker.tools.base import AnyTool

OPTION = "--tool"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that providers accept."""


def load_tools(specs: Iterable[str], workspace: Path) -> list[AnyTool]:
    """Return the tools that `specs` name as `MODULE:NAME`, each a class or an instance; see `load_named`.

    Raises:
        ConfigError: one can't be imported or created, isn't a complete tool, or has the name of another tool.
    """
    taken = {tool.name: "a built-in tool" for tool in BUILTIN_TOOLS}
    tools: list[AnyTool] = []
    for spec in specs:
        tool = _tool(spec, load_named(OPTION, spec, workspace))
        if tool.name in taken:
            raise ConfigError(f"{OPTION} {spec}: {tool.name!r} is already {taken[tool.name]}; give it another name")
        taken[tool.name] = f"the tool of {OPTION} {spec}"
        tools.append(tool)
    return tools


def _tool(spec: str, found: Any) -> AnyTool:
    where = f"{OPTION} {spec}"
    kind: Any = found if isinstance(found, type) else type(found)
    if not issubclass(kind, Tool):
        what = f"the class {kind.__name__}" if kind is found else f"a {kind.__name__}"
        raise ConfigError(f"{where}: {what} is not a trioworker.Tool")
    if inspect.isabstract(cast("object", kind)):
        raise ConfigError(f"{where}: the class {kind.__name__} is abstract; define the method run")
    try:
        tool: Any = found() if kind is found else found
        problem = _problem(tool)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: {describe(error)}") from error
    if problem:
        raise ConfigError(f"{where}: {problem}")
    return tool


def _problem(tool: AnyTool) -> str | None:
    """What is wrong with the tool's description, if anything is."""
    name, description, parameters = (getattr(tool, field, None) for field in ("name", "description", "parameters"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "its name must consist of 1 to 64 letters, digits, - and _"
    if not isinstance(description, str) or not description.strip():
        return "its description is missing; the model chooses tools by it"
    if not isinstance(parameters, type) or not issubclass(parameters, Parameters):
        return "its parameters must be a subclass of trioworker.Parameters"
    if not inspect.iscoroutinefunction(tool.run):
        return "its method run must be async"
    # Raises if the parameters have a type without a schema.
    definition(tool)
    return None
