"""Recording jobs in a simulated world, and replaying them."""

from __future__ import annotations

import json
import os
import resource
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio

from support.identity import JOB_ID, TOKEN
from support.tools import Log, Look, Probe
from trioworker import ConfigError, open_job, run_job
from trioworker.cassette import DivergedError, load_cassette, open_recorder, replay
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply, say
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state.journal import Journal
from trioworker.worker.tools.base import Parameters, Tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.cassette import Cassette
    from trioworker.orchestrator.backends.script import Turn
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.lifecycle import RunningJob
    from trioworker.worker.tools.base import AnyTool, ToolContext

SECRET = "-".join(("sk", "proj", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7"))
GRANTED = "granted-value-91"


class FloodParameters(Parameters, frozen=True):
    lines: int


class Flood(Tool[FloodParameters]):
    """Returns more output than a job keeps."""

    name: ClassVar[str] = "flood"
    description: ClassVar[str] = "Says much."
    parameters: ClassVar[type[Parameters]] = FloodParameters

    async def run(self, parameters: FloodParameters, context: ToolContext) -> object:
        await trio.lowlevel.checkpoint()
        return {"said": "much \n" * parameters.lines}


def tools() -> list[AnyTool]:
    log = Log()
    return [Probe(log), Look(log), Flood()]


async def record(
    world: SimulatedOrchestrator, workspace: Path, **more: Any
) -> tuple[Cassette, list[tuple[str, bytes]]]:
    """Run a job; return its cassette and the requests to the model that went over the wire."""
    path = workspace.parent / "job.jsonl"
    config = world.config(workspace, **more)
    with open_recorder(config, path) as recorder:
        await run_job(config, transport=world, tools=tools(), recorder=recorder)
    return load_cassette(path), [(exchange.path, exchange.content) for exchange in world.asked("llm")]


@asynccontextmanager
async def recording(
    config: WorkerConfig, world: SimulatedOrchestrator, path: Path, journal: Journal | None = None
) -> AsyncGenerator[RunningJob]:
    """A running job that is recorded into `path`."""
    with open_recorder(config, path) as recorder:
        async with open_job(config, transport=world, tools=tools(), recorder=recorder, journal=journal) as job:
            yield job


TURNS: list[Sequence[Turn]] = [
    [DONE],
    [reply(call("probe", text="one", seconds=2), text="First."), DONE],
    [reply(call("look", text="a", seconds=3), call("look", text="a"), call("probe", text="b")), DONE],
    [call("probe", error="it broke"), call("probe", crash=True), DONE],
    [
        call("nothing_such"),
        call("probe", seconds="soon"),
        call("probe", text={"a": [1]}),
        DONE,
    ],
    [reply(call("probe", text="x"), finish_reason="length"), call("probe", text="x"), DONE],
    [call("probe", seconds=500), DONE],
    [say("Caf\u00e9 \u2028 \U0001f600 \t\\ \"'"), say("I will call probe."), say(""), DONE],
    [say(None), say(None), say(None)],
]


@pytest.mark.parametrize("reasoning", ["single", "two-phase"])
@pytest.mark.parametrize("turns", TURNS, ids=range(len(TURNS)))
async def test_recorded_job_replays_to_the_same_requests(
    turns: Sequence[Turn], reasoning: str, workspace: Path, autojump_clock: MockClock
) -> None:
    cassette, requests = await record(SimulatedOrchestrator(turns), workspace, reasoning=reasoning)
    assert [(one.path, one.request) for one in cassette.exchanges] == requests

    outcome = await replay(cassette, workspace, tools=tools())
    assert outcome.status == cassette.end.status


@pytest.mark.parametrize(
    "fault",
    [
        Fault.refused(path="llm", request=0),
        Fault.status(503, path="llm", request=0),
        Fault.reset_before(path="llm", request=0),
        Fault.reset_after(path="llm", request=0),
        Fault.cut(path="llm", request=0),
        Fault.garbage(path="llm", request=0),
    ],
    ids=lambda fault: fault.kind,
)
async def test_retried_request_is_recorded_once(fault: Fault, workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe"), DONE], faults=[fault])
    cassette, requests = await record(world, workspace)

    assert len(requests) == 3
    assert [exchange.reply and exchange.reply.status for exchange in cassette.exchanges] == [200, 200]
    await replay(cassette, workspace, tools=tools())


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        # A model that may come back is asked until the job's time is over.
        (Fault.status(502), "stuck"),
        (Fault.refused(), "stuck"),
        (Fault.status(413), "failed"),
        (Fault.garbage(), "failed"),
    ],
)
async def test_permanent_failure_of_the_model_is_replayed(
    fault: Fault, status: str, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe"), DONE])
    world.fault = lambda exchange: fault if exchange.is_for_the_model and world.asked("prompt") else None
    cassette, _ = await record(world, workspace)
    assert cassette.end.status == status
    outcome = await replay(cassette, workspace, tools=tools())
    assert outcome.status == status


async def test_follow_ups_join_the_recorded_requests(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=4), DONE, call("probe", text="2", seconds=9), DONE, DONE])
    path = workspace.parent / "job.jsonl"
    config = world.config(workspace, poll_interval=0.2)
    async with recording(config, world, path) as job:
        await trio.sleep(2.5)
        world.send_prompt("And this.")
        world.send_prompt("And that.")
        await trio.sleep(3)
        world.send_prompt("While you finish.")
        await job.wait()
    cassette = load_cassette(path)
    joined = [exchange.prompts for exchange in cassette.exchanges]
    assert sorted(text for prompts in joined for text in prompts) == ["And that.", "And this.", "While you finish."]
    assert ("And this.", "And that.") in joined
    await replay(cassette, workspace, tools=tools())


async def test_time_out_and_stop_are_replayed(workspace: Path, autojump_clock: MockClock) -> None:
    endless = [call("probe", text="a"), call("probe", seconds=50)]
    out_of_time, _ = await record(SimulatedOrchestrator(endless), workspace, timeout=20.0)
    assert out_of_time.end.status == "stuck"
    assert (await replay(out_of_time, workspace, tools=tools())).status == "stuck"

    world, path = SimulatedOrchestrator([DONE], thinking=100.0), workspace.parent / "stopped.jsonl"
    async with recording(world.config(workspace), world, path) as job:
        await trio.sleep(3)
        job.stop("stopped by the test")
        stopped = await job.wait()
    outcome = await replay(load_cassette(path), workspace, tools=tools())
    assert (outcome.status, outcome.message) == ("cancelled", stopped.message)


async def test_secrets_are_not_recorded_and_the_job_replays(workspace: Path, autojump_clock: MockClock) -> None:
    said = [
        reply(call("probe", text=f"{TOKEN} {GRANTED}"), text=f"I use {SECRET}."),
        say(f"I told {GRANTED} and {SECRET}. The job is complete."),
    ]
    world = SimulatedOrchestrator(said, description=f"Use the key {SECRET}.", credentials={"KEY": GRANTED})
    cassette, _ = await record(world, workspace)

    text = (workspace.parent / "job.jsonl").read_text()
    for secret in (SECRET, TOKEN, GRANTED):
        assert secret not in text
    assert "[REDACTED:granted_credential]" in text
    outcome = await replay(cassette, workspace, tools=tools())
    assert outcome.success


async def test_actor_restart_is_not_recorded(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="a"), DONE])
    path = workspace.parent / "job.jsonl"
    async with recording(world.config(workspace), world, path) as job:
        await trio.sleep(0.5)
        job.actors["reasoner"].cancel()
        await job.wait()
    assert job.actors["reasoner"].restarts == 1
    cassette = load_cassette(path)
    assert len(cassette.exchanges) == 2
    await replay(cassette, workspace, tools=tools())


async def test_resumed_worker_continues_its_cassette(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="a", seconds=5), call("probe", text="b"), DONE])
    path, disk = workspace.parent / "job.jsonl", Disk()
    config = world.config(workspace)
    async with recording(config, world, path, Journal(DiskStorage(disk))) as job:
        await trio.sleep(3)
        # As a SIGKILL leaves it: journal and cassette end here, the last line torn.
        content, recorded = bytes(disk.content), path.read_bytes()
        job.stop("the first process is over")
        await job.wait()
    path.write_bytes(recorded + b'{"kind":"requ')
    world.revoked = False
    disk.content[:] = content
    async with recording(config, world, path, Journal(DiskStorage(disk), content)) as job:
        await job.wait()

    cassette = load_cassette(path)
    assert cassette.calls[0].outcome == "interrupted"
    outcome = await replay(cassette, workspace, tools=tools())
    assert outcome.success


async def test_compacted_results_are_replayed_compacted(workspace: Path, autojump_clock: MockClock) -> None:
    turns = [call("probe", text="x" * 3_000 + str(number)) for number in range(14)]
    cassette, requests = await record(SimulatedOrchestrator([*turns, DONE]), workspace, context_limit=4_000)
    assert b"compacted to save space" in requests[-1][1]
    await replay(cassette, workspace, tools=tools())


async def test_outputs_of_megabytes_are_replayed_in_full(workspace: Path) -> None:
    turns = [call("flood", lines=number) for number in (300_000, 100_000)]
    cassette, requests = await record(SimulatedOrchestrator([*turns, DONE], thinking=0.0), workspace)
    assert b" left out; the full output is in " in requests[-1][1]
    await replay(cassette, workspace, tools=tools())


async def test_outputs_in_files_are_replayed_with_another_temporary_folder(
    workspace: Path, autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette, _ = await record(SimulatedOrchestrator([call("flood", lines=10_000), DONE]), workspace)
    other = tmp_path / ("other" * 10)
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    await replay(cassette, workspace, tools=tools())


async def test_cassette_grows_only_with_new_messages(workspace: Path, autojump_clock: MockClock) -> None:
    turns = [call("probe", text=f"{number}" * 500) for number in range(40)]
    cassette, _ = await record(SimulatedOrchestrator([*turns, DONE]), workspace)
    sent = sum(len(exchange.request) for exchange in cassette.exchanges)
    assert (workspace.parent / "job.jsonl").stat().st_size < sent / 5


async def test_different_job_diverges_at_its_first_request(workspace: Path, autojump_clock: MockClock) -> None:
    await record(SimulatedOrchestrator([DONE]), workspace)
    path = workspace.parent / "job.jsonl"
    path.write_text(path.read_text().replace('"description":"Make', '"description":"Break', 1))
    with pytest.raises(DivergedError, match=r"(?ms)request 1 of 1 differs.*^-Make the tests.*^\+Break the tests"):
        await replay(load_cassette(path), workspace, tools=tools())


async def test_missing_requests_diverge(workspace: Path, autojump_clock: MockClock) -> None:
    await record(SimulatedOrchestrator([call("probe"), DONE]), workspace)
    path = workspace.parent / "job.jsonl"
    lines = path.read_text().splitlines()
    reply = next(number for number, line in enumerate(lines) if '"kind":"reply"' in line)
    lines[reply] = json.dumps(
        {"kind": "reply", "status": 200, "seconds": 1, "body": {"content": "The job is complete."}}
    )
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DivergedError, match="the job ended after request 1 of 2"):
        await replay(load_cassette(path), workspace, tools=tools())


async def test_full_disk_ends_the_recording_but_not_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    path = workspace.parent / "job.jsonl"
    world = SimulatedOrchestrator([call("probe", text="x" * 900), call("probe", text="y" * 900), DONE])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, hard))
    try:
        async with recording(world.config(workspace), world, path) as job:
            outcome = await job.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.success
    assert path.stat().st_size == 6_000
    with pytest.raises(ConfigError, match="record the job again"):
        load_cassette(path)


async def test_cassette_has_mode_0600(workspace: Path, autojump_clock: MockClock) -> None:
    await record(SimulatedOrchestrator([DONE]), workspace)
    assert stat.S_IMODE((workspace.parent / "job.jsonl").stat().st_mode) == 0o600


async def test_unusable_file_is_refused_and_left_unchanged(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([DONE])
    cassette = await _other_cassette(workspace)
    notes = workspace.parent / "notes.txt"
    notes.write_text("mine\n")
    link = workspace.parent / "link.jsonl"
    link.symlink_to(notes)
    fifo = workspace.parent / "fifo"
    os.mkfifo(fifo)
    for path, said in (
        (cassette, "holds job"),
        (notes, "is not a cassette"),
        (link, "name a file that can be written"),
        (fifo, "is not a regular file"),
        (workspace / "job.jsonl", "is in the workspace, where tools write"),
        (workspace.parent / "none" / "job.jsonl", "No such file or directory; name a file that can be written"),
    ):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(ConfigError, match=said) as caught:
            async with recording(world.config(workspace), world, path) as job:
                await job.wait()
        assert "\n" not in str(caught.value)
        assert (path.read_bytes() if path.is_file() else b"") == before
    assert world.exchanges == []


async def _other_cassette(workspace: Path) -> Path:
    await record(SimulatedOrchestrator([DONE]), workspace)
    path = workspace.parent / "job.jsonl"
    path.write_text(path.read_text().replace(JOB_ID, JOB_ID.replace("a", "b")))
    return path
