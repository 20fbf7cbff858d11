"""The base of all tools: a name, a description, a struct for the parameters, a time limit and `run`.

The JSON Schema that the model sees and the validation of its arguments both come from the parameters' struct.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, TypeVarTuple

import msgspec
import trio

from trioworker.errors import ToolError
from trioworker.protocol.limits import MAX_TOOL_THREADS
from trioworker.protocol.wire import ToolDefinition
from trioworker.worker.config import DEFAULT_OUTPUT_LIMIT
from trioworker.worker.tools.other_names import OtherNames
from trioworker.worker.tools.schema import plain_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trioworker.worker.processes.processes import Processes
    from trioworker.worker.tools.workspace import Workspace

DEFAULT_TIMEOUT = 60.0
"""Seconds that a tool call may take by default (contract, 'Tools')."""


NO_THREAD = "can't start new thread"
"""Python's error where the system has no memory or process number for another thread."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a tool's parameters. Field types, `Meta` bounds and descriptions make the schema."""

    other_names: ClassVar[OtherNames] = MappingProxyType({})
    """Names that models know for these parameters from other agents' tools."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a call, and what events show in addition.

    Attributes:
        text: the result as the model sees it.
        exit_code: the exit code of a command.
        diff: a unified diff of the files that the call changed.
    """

    text: str
    exit_code: int | None = None
    diff: str = ""


P = TypeVar("P", bound=Parameters, contravariant=True)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """What a running tool may use.

    Attributes:
        workspace: the folder that it may touch.
        environment: the environment variables of its processes.
        processes: starts and ends processes.
        threads: limits the threads of all tools together.
        output_limit: bytes of a result that the model sees; the middle of a longer one is omitted.
        deadline: the job's deadline, in seconds of trio's clock.
    """

    workspace: Workspace
    environment: Mapping[str, str]
    processes: Processes
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(MAX_TOOL_THREADS))
    output_limit: int = DEFAULT_OUTPUT_LIMIT
    deadline: float = math.inf

    async def run_in_thread(self, function: Callable[[*Ts], R], *args: *Ts, abandon: bool = False) -> R:
        """Run a blocking function in a thread.

        On cancellation the call waits for the function to return, so that nothing changes after the cancel. With
        `abandon`, which is for functions that only read, it returns at once and leaves the thread behind.

        Raises:
            ToolError: no thread can be started.
        """
        try:
            return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=abandon, limiter=self.threads)
        except RuntimeError as error:
            if str(error) != NO_THREAD:
                raise
            raise ToolError("the system can't start another thread; end background commands, and try again") from error


class Tool(ABC, Generic[P]):
    """A tool that the model can call. Its instances hold no state of a job."""

    name: ClassVar[str]
    """The name by which the model calls it."""
    description: ClassVar[str]
    """What it does, for the model."""
    parameters: ClassVar[type[Parameters]]
    """The struct of its parameters."""
    timeout: ClassVar[float] = DEFAULT_TIMEOUT
    """Seconds that a call may take."""
    reads_only: ClassVar[bool] = False
    """Whether the tool changes nothing: adjacent calls of such tools run concurrently."""

    @abstractmethod
    async def run(self, parameters: P, context: ToolContext) -> object:
        """Run the tool.

        The result is text, which the model gets as it is; a `ToolResult`; or any value that msgspec can encode, which
        the model gets as JSON.

        Raises:
            ToolError: the call failed; the message is one line for the model, and the job continues.
        """

    def time_limit(self, parameters: P) -> float:  # noqa: ARG002 - overrides need it
        """Seconds after which the executor cancels this call; more than any time-out of the call itself."""
        return self.timeout


AnyTool = Tool[Any]
"""A tool with any parameters."""


def definition(tool: AnyTool) -> ToolDefinition:
    """The tool as requests describe it."""
    return ToolDefinition(name=tool.name, description=tool.description, parameters=plain_schema(tool.parameters))
