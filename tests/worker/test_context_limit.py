"""The context limit of a job: requests stay within it, begin as the previous one, and are shortened after a refusal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest
import trio

from support.tools import Log, Probe
from support.wire_rules import assert_well_formed
from trioworker import open_job, run_job
from trioworker.protocol import limits, wire
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state.conversation import KEPT_TURNS, OPENING
from trioworker.worker.state.journal import Journal
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.registry import BUILTIN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.testing import Exchange
    from trioworker.worker.tools.base import ToolContext

BYTES_PER_TOKEN = 3.2
"""The ratio of the model's tokenizer."""


class Tokenizing(SimulatedOrchestrator):
    """A model that reports the tokens of each request. `sizes` are the bytes of each."""

    def __init__(self, turns: Sequence[Any], bytes_per_token: float = BYTES_PER_TOKEN) -> None:
        super().__init__(turns)
        self.bytes_per_token = bytes_per_token

    @property
    def sizes(self) -> list[int]:
        return [len(exchange.content) for exchange in self.asked("llm")]

    async def think(self, exchange: Exchange) -> tuple[int, bytes]:
        status, body = await super().think(exchange)
        reply = msgspec.json.decode(body, type=wire.Reply)
        counted = msgspec.structs.replace(reply, input_tokens=int(len(exchange.content) / self.bytes_per_token))
        return status, msgspec.json.encode(counted)


class SimulatedReadParameters(Parameters, frozen=True):
    """The path of the file."""

    path: str


class SimulatedRead(Tool[SimulatedReadParameters]):
    """Returns the numbered lines of a file of 13 KB, without a thread: those take real time."""

    name: ClassVar[str] = "read_file"
    description: ClassVar[str] = "Read a file."
    parameters: ClassVar[type[Parameters]] = SimulatedReadParameters
    reads_only: ClassVar[bool] = True

    async def run(self, parameters: SimulatedReadParameters, context: ToolContext) -> str:
        await trio.lowlevel.checkpoint()
        line = f"    total = total + measure(sample, name='{parameters.path}')\n"
        return "".join(f"{number}\t{line}" for number in range(1, 13_000 // len(line) + 1))


TOOLS = (SimulatedRead(), *(tool for tool in BUILTIN_TOOLS if tool.name != "read_file"))


def reads(count: int) -> list[Any]:
    return [call("read_file", path=f"module_{number}.py") for number in range(count)]


def long_turns(count: int, size: int) -> list[Any]:
    return [call("probe", text=f"{number:4}" + "x" * size) for number in range(count)]


def shared_share(world: SimulatedOrchestrator) -> float:
    """The share of all message bytes that the previous request began with."""
    sent = [[msgspec.json.encode(message) for message in request] for request in world.conversations()]
    shared = 0
    for before, after in pairwise(sent):
        for one, other in zip(before, after, strict=False):
            if one != other:
                break
            shared += len(one)
    return shared / sum(len(message) for request in sent for message in request)


async def test_thirty_reads_stay_within_the_limit_and_mostly_repeat_the_request_before(
    workspace: Path, autojump_clock: MockClock
) -> None:
    limit = 40_000
    world = Tokenizing([*reads(30), DONE])
    outcome = await run_job(world.config(workspace, context_limit=limit), transport=world, tools=TOOLS)
    assert outcome.success
    assert len(world.sizes) == 31
    assert max(world.sizes) / BYTES_PER_TOKEN <= 1.1 * limit
    assert shared_share(world) >= 0.7


async def test_compacted_results_say_what_they_were_and_the_last_turns_stay_whole(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = Tokenizing([*reads(20), DONE])
    async with open_job(world.config(workspace, context_limit=30_000), transport=world, tools=TOOLS) as job:
        await trio.sleep(5)
        world.send_prompt("Use tabs. " * 50)
        outcome = await job.wait()
    assert outcome.success
    first, last = world.conversations()[0], world.conversations()[-1]
    assert last[:OPENING] == first
    assert [message["content"] for message in last if message["role"] == "user"][1:] == ["Use tabs. " * 50]
    results = [message["content"] for message in last if message["role"] == "tool"]
    assert all(len(result) > 12_000 for result in results[-KEPT_TURNS:])
    assert results[0].startswith("[compacted to save space: read_file returned ")
    assert "total = total + measure" in results[0]
    assert "call it again to see it" in results[0]
    assert len(results[0]) < 500
    assert_well_formed(last)
    assert any("were compacted" in data["message"] for data in world.of_type("status"))


@pytest.mark.parametrize("bytes_per_token", [1.5, 3.2, 6.0])
async def test_bytes_per_token_are_learned_from_the_replies(
    bytes_per_token: float, workspace: Path, autojump_clock: MockClock
) -> None:
    world = Tokenizing([*long_turns(40, 1_000), DONE], bytes_per_token=bytes_per_token)
    outcome = await run_job(world.config(workspace, context_limit=12_000), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert 9_000 < max(world.sizes) / bytes_per_token <= 12_000


async def test_long_arguments_of_old_turns_are_compacted(workspace: Path, autojump_clock: MockClock) -> None:
    turns = [call("probe", text=f"{number}", error="x" * 9_000) for number in range(30)]
    world = Tokenizing([*turns, DONE])
    outcome = await run_job(world.config(workspace, context_limit=20_000), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max(world.sizes) / BYTES_PER_TOKEN <= 20_000
    first = next(message for message in world.conversations()[-1] if message.get("tool_calls"))
    assert "9000 characters in all" in first["tool_calls"][0]["arguments"]["error"]
    assert int(first["tool_calls"][0]["arguments"]["text"]) < 20


async def test_last_turns_that_exceed_the_limit_are_cut_to_head_and_tail(
    workspace: Path, autojump_clock: MockClock
) -> None:
    text = "HEAD" + "x" * 150_000 + "TAIL"
    world = Tokenizing([call("probe", text=text), DONE])
    outcome = await run_job(world.config(workspace, context_limit=20_000), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max(world.sizes) / BYTES_PER_TOKEN <= 1.1 * 20_000
    (result,) = (message["content"] for message in world.conversations()[-1] if message["role"] == "tool")
    assert "HEADxxx" in result[:200]
    assert "xxxTAIL" in result[-200:]
    assert "bytes shown were left out here to save space" in result


@pytest.mark.parametrize("limit", [1_000, 4_000])
async def test_job_text_over_the_context_limit_is_sent_in_full_and_reported(
    limit: int, workspace: Path, autojump_clock: MockClock
) -> None:
    world = Tokenizing([*long_turns(25, 9_000), DONE])
    world.description = "Summarize this. " * 2_000
    outcome = await run_job(world.config(workspace, context_limit=limit), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert all(world.description in request[1]["content"] for request in world.conversations())
    told = [data["message"] for data in world.of_type("status") if "--context-limit" in data["message"]]
    assert len(told) == 1
    assert max(world.sizes) < 32_000 + 16 * 1024


async def test_requests_stay_under_the_orchestrators_limit_whatever_the_context(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = Tokenizing([*long_turns(40, 90_000), DONE])
    outcome = await run_job(world.config(workspace, context_limit=100_000_000), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max(world.sizes) <= limits.MAX_REQUEST_BYTES


class SmallContext(Tokenizing):
    """A model server that refuses requests of more than `tokens` tokens. `stated` is the limit that it names.

    `refused` has the sizes of the requests that it refused, and `refusal` is set at the first.
    """

    def __init__(self, turns: Sequence[Any], tokens: int, stated: int | None = None) -> None:
        super().__init__(turns)
        self.refused: list[int] = []
        self.refusal = trio.Event()
        self._tokens = tokens
        self._words = f"maximum context length is {stated} tokens" if stated else "the prompt is too long"

    async def think(self, exchange: Exchange) -> tuple[int, bytes]:
        if len(exchange.content) / self.bytes_per_token <= self._tokens:
            return await super().think(exchange)
        self.refused.append(len(exchange.content))
        self.refusal.set()
        return 422, msgspec.json.encode({"error": {"kind": "context_length", "message": self._words}})


@pytest.mark.parametrize("stated", [None, 10_000, 1_000_000], ids=["no limit", "the limit", "a wrong limit"])
async def test_refused_request_is_compacted_and_asked_again_and_the_limit_stays_lower(
    stated: int | None, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SmallContext([*long_turns(40, 4_000), DONE], 12_000, stated)
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert outcome.iterations == 41
    assert len(world.refused) == 1
    assert any("the limit is now" in data["message"] for data in world.of_type("status"))


async def test_lowered_limit_holds_after_a_restart(workspace: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    world = SmallContext([*long_turns(40, 4_000), DONE], 12_000)
    async with open_job(
        world.config(workspace), transport=world, tools=[Probe(Log())], journal=Journal(DiskStorage(disk))
    ) as job:
        await world.refusal.wait()
        await trio.sleep(2)
        content = bytes(disk.content)
        lowered = job.job.context_limit.lowered
    assert lowered is not None
    world.revoked = False
    disk.content[:] = content
    async with open_job(
        world.config(workspace), transport=world, tools=[Probe(Log())], journal=Journal(DiskStorage(disk), content)
    ) as job:
        assert job.job.context_limit.lowered == lowered
        outcome = await job.wait()
    assert outcome.success
    assert len(world.refused) == 1


async def test_conversation_that_is_too_long_at_its_shortest_fails_with_the_servers_words(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SmallContext([DONE], 10)
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.status == "failed"
    assert outcome.message == "Execution failed: the prompt is too long"
    assert len(world.sizes) == 1
