"""Tools that answer from a cassette: what the model is told of them is the real ones', and nothing runs."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import trio

from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.tools.base import Parameters, Tool, parse_arguments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trioworker.cassette.format import Call, Cassette
    from trioworker.worker.tools.base import AnyTool, ToolContext

LATEST = 0.9
"""The part of a call's time limit that its answer takes at the most: what it took beside others may be more."""


class Answers:
    """The recorded answers: of calls that were made alike, the first goes out first."""

    def __init__(self, cassette: Cassette, tools: Iterable[AnyTool], missing: Callable[[], Awaitable[None]]) -> None:
        """`missing` is awaited by a call that has no answer: where the job was stopped, it never returns."""
        self._missing = missing
        self._waiting: dict[tuple[str, bytes], deque[Call]] = defaultdict(deque)
        known = {tool.name: tool.parameters for tool in tools}
        for call in cassette.calls:
            if not call.ran or call.name not in known:
                continue
            try:
                parameters = parse_arguments(known[call.name], msgspec.json.decode(call.arguments))
            except InvalidParametersError:
                # The tool has changed since, and with it what the model is told of it: the first request will differ.
                continue
            self._waiting[call.name, msgspec.json.encode(parameters)].append(call)

    async def answer(self, name: str, parameters: Parameters, limit: float) -> object:
        """What the call gave, after the time that it took."""
        waiting = self._waiting[name, msgspec.json.encode(parameters)]
        if not waiting:
            await self._missing()
            raise ToolError("the cassette holds no such call")
        call = waiting.popleft()
        await trio.sleep(min(call.seconds, limit * LATEST))
        if call.outcome == "success":
            return msgspec.Raw(call.output.encode())
        raise ToolError(call.output.removeprefix("Error: "))


def replayed(tool: AnyTool, answers: Answers) -> AnyTool:
    """A tool that looks like `tool` to the model and to the executor."""

    class Replayed(Tool[Parameters]):
        name: ClassVar[str] = tool.name
        description: ClassVar[str] = tool.description
        parameters: ClassVar[type[Parameters]] = tool.parameters
        reads_only: ClassVar[bool] = tool.reads_only

        async def run(self, parameters: Any, context: ToolContext) -> object:  # noqa: ARG002 - nothing is touched
            return await answers.answer(tool.name, parameters, tool.time_limit(parameters))

        def time_limit(self, parameters: Any) -> float:
            return tool.time_limit(parameters)

    return Replayed()
