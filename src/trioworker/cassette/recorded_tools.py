"""Tools that return recorded outputs. They are presented to the model like the real ones, and run nothing."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import trio

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import Parameters, Tool, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trioworker.cassette.format import Cassette, RecordedCall
    from trioworker.worker.tools.base import AnyTool, ToolContext

MAX_TIME_LIMIT_SHARE = 0.9
"""The maximum duration of a call, as a part of its time limit: the recorded one may include waiting for other calls."""


class RecordedOutputs:
    """The recorded outputs. Identical calls get theirs in the recorded order."""

    def __init__(
        self, cassette: Cassette, tools: Iterable[AnyTool], wait_if_stopped: Callable[[], Awaitable[None]]
    ) -> None:
        """A call without an output awaits `wait_if_stopped`, which doesn't return where the job was stopped."""
        self._wait_if_stopped = wait_if_stopped
        self._waiting: dict[tuple[str, bytes], deque[RecordedCall]] = defaultdict(deque)
        known = {tool.name: tool.parameters for tool in tools}
        for call in cassette.calls:
            if not call.ran or call.name not in known:
                continue
            try:
                parameters = parse_arguments(known[call.name], msgspec.json.decode(call.arguments))
            except InvalidParametersError:
                # The tool has changed since, and its definition with it: the first request will differ.
                continue
            self._waiting[call.name, msgspec.json.encode(parameters)].append(call)

    async def replay(self, name: str, parameters: Parameters, limit: float) -> ToolResult:
        """Return or raise what the call did, after the time that it took, in seconds."""
        waiting = self._waiting[name, msgspec.json.encode(parameters)]
        if not waiting:
            await self._wait_if_stopped()
            raise ToolError("the cassette has no such call")
        call = waiting.popleft()
        await trio.sleep(min(call.seconds, limit * MAX_TIME_LIMIT_SHARE))
        if call.outcome == "success":
            return ToolResult(text=call.output, exit_code=call.exit_code, diff=call.diff)
        raise ToolError(call.output.removeprefix("Error: "))


def replayed(tool: AnyTool, outputs: RecordedOutputs) -> AnyTool:
    """A tool that looks like `tool` to the model and to the executor."""

    class Replayed(Tool[Parameters]):
        name: ClassVar[str] = tool.name
        description: ClassVar[str] = tool.description
        parameters: ClassVar[type[Parameters]] = tool.parameters
        reads_only: ClassVar[bool] = tool.reads_only

        async def run(self, parameters: Any, context: ToolContext) -> object:  # noqa: ARG002 - a replay uses no context
            return await outputs.replay(tool.name, parameters, tool.time_limit(parameters))

        def time_limit(self, parameters: Any) -> float:
            return tool.time_limit(parameters)

    return Replayed()
