"""The limits: input of any size keeps memory and requests bounded, and the job continues or says why it can't."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio

from support.raw_model import RawModel, reply_with
from support.requests import connect
from support.scripted_transport import ScriptedTransport
from support.tools import Log, Probe
from support.wire_rules import assert_well_formed
from trioworker import errors, open_job, run_job
from trioworker.protocol import limits
from trioworker.protocol.limits import KIB, MAX_CALLS, MIB
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.worker.processes.processes import Processes
from trioworker.worker.tools.apply_patch import ApplyPatch, ApplyPatchParameters
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock


GIB = 1024 * MIB
PIECE = b" " * (64 * KIB)


class Flood(httpx.AsyncByteStream):
    """A body of 1 GiB, produced as it is read."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.sent < GIB:
            self.sent += len(PIECE)
            yield PIECE
            await trio.lowlevel.checkpoint()


def tool_results(world: SimulatedOrchestrator) -> list[str]:
    """The results of all calls in the last request to the model."""
    return [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]


async def test_reply_of_a_gigabyte_is_not_read_whole_and_fails_the_job_with_the_reason(
    workspace: Path, autojump_clock: MockClock
) -> None:
    flood = Flood()

    class Flooding(SimulatedOrchestrator):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "llm/" in request.url.path:
                return httpx.Response(200, stream=flood)
            return await super().handle_async_request(request)

    world = Flooding()
    tracemalloc.start()
    try:
        outcome = await run_job(world.config(workspace), transport=world, tools=[])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.reported
    assert f"llm/complete_with_tools: 200 with over {limits.MAX_LLM_REPLY_BYTES} bytes" in world.reports[0]["message"]
    assert flood.sent <= limits.MAX_LLM_REPLY_BYTES + len(PIECE)
    assert peak < 3 * limits.MAX_LLM_REPLY_BYTES


@pytest.mark.parametrize("packing", ["gzip", "gzip, gzip", "deflate", "br"])
async def test_compressed_response_is_refused_unread(packing: str, autojump_clock: MockClock) -> None:
    flood = Flood()

    async def packed(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": packing}, stream=flood)

    async with connect(ScriptedTransport(packed)) as client:
        with pytest.raises(errors.BadReplyError, match=r"GET .*job: 200 with Content-Encoding .*not requested"):
            await client.job()
    assert flood.sent == 0


async def test_follow_up_is_cut_to_its_limit(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=5), DONE])
    world.send_prompt("Use tabs. " * 60_000)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    follow_up = world.conversations()[-1][-1]["content"]
    assert follow_up.startswith("Use tabs. ")
    assert len(follow_up.encode()) <= limits.MAX_PROMPT_BYTES + len("...")


async def test_job_survives_a_follow_up_over_the_reply_limit(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=5), call("probe", seconds=5), DONE])
    world.send_prompt("x" * (limits.MAX_REPLY_BYTES + 1))
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(1)
        world.send_prompt("And the docs.")
        outcome = await job.wait()
    assert outcome.success
    assert world.conversations()[-1][-3]["content"] == "And the docs."


async def test_waiting_follow_ups_pause_polling(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=50), DONE])
    for number in range(100):
        world.send_prompt(f"Follow-up {number}")
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(40)
        waiting = len(job.job.follow_ups)
        assert limits.MAX_WAITING_FOLLOW_UPS <= waiting <= limits.MAX_WAITING_FOLLOW_UPS + 1
        assert len(world.prompts) == 100 - waiting


async def test_arguments_over_the_limit_are_an_error_for_the_model(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = RawModel(reply_with({"id": "a", "name": "probe", "arguments": {"text": "x" * (7 * MIB)}}))
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log)])
    assert outcome.success
    assert log.runs == []
    assert f"at most {limits.MAX_ARGUMENTS_BYTES} are accepted" in tool_results(world)[0]
    assert max(world.sizes) <= limits.MAX_REQUEST_BYTES


async def test_calls_of_one_reply_over_the_limit_are_left_out(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = RawModel(
        reply_with(*({"id": f"c{number}", "name": "probe", "arguments": None} for number in range(20_000)))
    )
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log)])
    assert outcome.success
    assert len(log.runs) == MAX_CALLS - 1
    results = tool_results(world)
    assert len(results) == MAX_CALLS
    assert f"20000 calls in one reply, at most {MAX_CALLS} are taken" in results[-1]


@pytest.mark.parametrize("field", ["name", "id"])
async def test_name_or_id_of_megabytes_is_in_no_request(field: str, workspace: Path, autojump_clock: MockClock) -> None:
    world = RawModel(reply_with({"id": "a", "name": "probe", "arguments": {}, field: "n" * (3 * MIB)}))
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max(world.sizes) < 64 * KIB


async def test_events_of_large_texts_and_calls_are_small(workspace: Path) -> None:
    text = "\U0001f600 " * 200_000
    call: dict[str, Any] = {"id": "i" * 100_000, "name": "n" * 100_000, "arguments": {"text": text}}
    spoken = msgspec.json.encode(
        {"content": text, "tool_calls": [call, {"id": "b", "name": "probe", "arguments": {"text": text}}]}
    )
    world = RawModel(spoken, thinking=0.0)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    posted = [len(msgspec.json.encode(exchange.body)) for exchange in world.asked("event")]
    # The ninth reports the compaction.
    assert len(posted) == 9
    assert max(posted) < 5 * KIB


async def test_report_of_megabytes_is_cut(workspace: Path, autojump_clock: MockClock) -> None:
    said = msgspec.json.encode({"content": "x" * (5 * MIB) + ". The job is complete.", "finish_reason": "stop"})
    world = RawModel(said)
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.success
    assert len(world.reports[0]["message"]) <= limits.MAX_KEPT_OUTPUT_BYTES + len("...")
    assert outcome.message == world.reports[0]["message"]


async def test_turns_that_compaction_cannot_shorten_are_left_out_with_a_note(
    workspace: Path, autojump_clock: MockClock
) -> None:
    turn: list[dict[str, Any]] = [
        {"id": "i" * 4_000, "name": "probe", "arguments": {"text": "x"}} for _ in range(MAX_CALLS)
    ]
    world = RawModel(*(reply_with(*turn) for _ in range(8)))
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert max(world.sizes) <= limits.MAX_REQUEST_BYTES
    last = world.conversations()[-1]
    system, job = world.conversations()[0]
    assert last[0] == system
    # The note is merged into the job's message, since both are the user's.
    assert last[1]["content"].startswith(job["content"])
    assert any("earlier messages were left out to save space" in message["content"] for message in last)
    assert_well_formed(last)


@pytest.fixture
async def context(workspace: Path) -> AsyncIterator[ToolContext]:
    with Workspace.open(workspace) as opened:
        async with Processes() as processes:
            yield ToolContext(workspace=opened, environment={}, processes=processes)


async def test_patch_that_would_grow_a_file_over_the_limit_is_refused(context: ToolContext, workspace: Path) -> None:
    (workspace / "file").write_text("x" * MIB)
    parameters = ApplyPatchParameters(path="file", old_string="x", new_string="y" * MIB, replace_all=True)
    with pytest.raises(errors.ToolError, match="cannot write file: it would be larger than 10 MiB"):
        await ApplyPatch().run(parameters, context)
    assert (workspace / "file").read_text() == "x" * MIB


async def test_patch_that_nearly_matches_everywhere_fails_fast(context: ToolContext, workspace: Path) -> None:
    (workspace / "file").write_text("x\n" * 500_000)
    start = time.process_time()
    with pytest.raises(errors.ToolError, match="old_string is not in file"):
        await ApplyPatch().run(
            ApplyPatchParameters(path="file", old_string=" x\n" * 250_000 + "y", new_string=""), context
        )
    # Comparing lists of lines at each line would take hours.
    assert time.process_time() - start < 20
