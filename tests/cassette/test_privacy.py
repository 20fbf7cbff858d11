"""Who can read a cassette, and that no field holds a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cassette.test_recorder import recording
from trioworker.cassette import load_cassette
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

PASSWORD = "-".join(("url", "password", "83"))
GRANTED = "granted-value-91"


async def test_earlier_recording_that_others_could_read_becomes_private(
    workspace: Path, autojump_clock: MockClock
) -> None:
    path = workspace.parent / "job.jsonl"
    for _ in range(2):
        world = SimulatedOrchestrator([DONE])
        async with recording(world.config(workspace), world, path) as job:
            await job.wait()
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)


async def test_empty_file_that_others_could_read_becomes_private(workspace: Path, autojump_clock: MockClock) -> None:
    path = workspace.parent / "job.jsonl"
    path.touch(0o666)
    world = SimulatedOrchestrator([DONE])
    async with recording(world.config(workspace), world, path) as job:
        await job.wait()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_no_field_of_a_cassette_holds_a_secret(workspace: Path, autojump_clock: MockClock) -> None:
    path = workspace.parent / "job.jsonl"
    remote = f"https://me:{PASSWORD}@git.test/x.git"
    said = f"{remote} {GRANTED}"
    world = SimulatedOrchestrator(
        [reply(call("probe", text=said, error=said), text=said), call(GRANTED, {GRANTED: said}), DONE],
        title=said,
        description=said,
        credentials={"KEY": GRANTED},
    )
    world.send_prompt(said)
    async with recording(world.config(workspace), world, path) as job:
        await job.wait()
    text = path.read_text()
    assert "url_password" in text
    assert PASSWORD not in text
    assert GRANTED not in text
    assert load_cassette(path).end.status == "completed"
