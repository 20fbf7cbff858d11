"""What a tool is: a name, a description, a struct for its parameters, a time-out and `run`.

The JSON Schema that the model sees and the validation of what the model sends both come from the parameters' struct.
Models send numbers as strings, objects as JSON strings and arguments that nobody asked for; all of that is coerced or
dropped here, and what is left over is told with the field's path, every field at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, TypeVarTuple

import msgspec
import trio

from trioworker.errors import InvalidParametersError
from trioworker.protocol.limits import MAX_TOOL_THREADS
from trioworker.protocol.wire import ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trioworker.worker.processes.processes import Processes
    from trioworker.worker.tools.workspace import Workspace

DEFAULT_TIMEOUT = 60.0
"""Seconds that a tool call may take (contract, 'Tools')."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of a tool's parameters. Field types, `Meta` bounds and descriptions make the schema."""


P = TypeVar("P", bound=Parameters, contravariant=True)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """What a running tool may use: the workspace, the environment of its children, the process table, and threads."""

    workspace: Workspace
    environment: Mapping[str, str]
    processes: Processes
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(MAX_TOOL_THREADS))

    async def run_in_thread(self, function: Callable[[*Ts], R], *args: *Ts, abandon: bool = False) -> R:
        """Run a blocking function in a thread, which counts towards the limit of the tools' threads.

        A cancelled call waits for the thread, so that nothing is changed after the cancel; with `abandon`, which is for
        functions that only read, it leaves a thread behind that may hang.
        """
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=abandon, limiter=self.threads)


class Tool(ABC, Generic[P]):
    """A tool that the model can call. Its instances hold no state of a job."""

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[type[Parameters]]
    timeout: ClassVar[float] = DEFAULT_TIMEOUT
    reads_only: ClassVar[bool] = False
    """Neighbouring calls of tools that only read run side by side."""

    @abstractmethod
    async def run(self, parameters: P, context: ToolContext) -> object:
        """Do the work and return a value that msgspec can encode; the model gets it as JSON.

        Raises:
            ToolError: the model is told why, in one line, and the job goes on.
        """

    def time_limit(self, parameters: P) -> float:  # noqa: ARG002 - a tool with a time-out parameter of its own needs it
        """Seconds after which the executor gives up on this call; more than a time-out that `run` keeps itself."""
        return self.timeout


AnyTool = Tool[Any]


def definition(tool: AnyTool) -> ToolDefinition:
    """The tool as the model is told of it, its schema inlined: some providers follow no top-level `$ref`."""
    name = tool.parameters.__name__
    schema = msgspec.json.schema(tool.parameters)
    definitions: dict[str, Any] = schema["$defs"]
    parameters: dict[str, Any] = definitions.pop(name)
    parameters.pop("title", None)
    if definitions:
        parameters["$defs"] = definitions
    return ToolDefinition(name=tool.name, description=tool.description, parameters=parameters)


def parse_arguments(parameters: type[Parameters], arguments: Any) -> Parameters:
    """What the model sent, as the tool's own struct.

    Raises:
        InvalidParametersError: with every field that does not fit, not only the first.
    """
    if isinstance(arguments, str):
        arguments = _decoded(arguments)
    if arguments is None:
        arguments = {}
    try:
        given = msgspec.convert(arguments, dict[str, Any])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidParametersError([_told("arguments", str(error))]) from error
    values: dict[str, Any] = {}
    problems: list[str] = []
    for expected in _fields(parameters):
        if expected.encode_name not in given:
            if expected.required:
                problems.append(f"{expected.encode_name}: required and missing")
            continue
        try:
            values[expected.name] = _coerced(given[expected.encode_name], expected.type)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            problems.append(_told(expected.encode_name, str(error)))
            continue
        if _holds_nul(values[expected.name]):
            problems.append(f"{expected.encode_name}: must not hold NUL bytes")
    if problems:
        raise InvalidParametersError(problems)
    return parameters(**values)


@cache
def _fields(parameters: type[Parameters]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Looked up once: resolving a class's annotations takes longer than all the rest of a call's validation."""
    return msgspec.structs.fields(parameters)


def _coerced(value: Any, wanted: Any) -> Any:
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        parsed = _decoded(value) if isinstance(value, str) else value
        if isinstance(parsed, str | int | float | bool) or parsed is value:
            raise
        return msgspec.convert(parsed, wanted, strict=False)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return text


def _told(field: str, message: str) -> str:
    """msgspec's `Expected X, got Y - at `$[1].z`` with the path joined to the field's name."""
    text, _, path = message.partition(" - at `$")
    return f"{field}{path.rstrip('`')}: {text}"


def _holds_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value
