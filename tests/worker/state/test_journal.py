"""The journal: torn, damaged, foreign and failing ones, and syncs."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
import trio

from support.identity import JOB_ID
from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.errors import ConfigError
from trioworker.protocol.limits import MAX_FRAME_BYTES, MAX_JOURNAL_BYTES, MIB
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state import records
from trioworker.worker.state.journal import FORMAT_LINE, Journal, check_owner, encode_frame
from trioworker.worker.state.journal_file import FileStorage, journal_path, open_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

OPENED = records.JobOpened(job_id=JOB_ID, title="Fix it", description="All of it.", started_at=1.5)
GROUPS: Sequence[tuple[records.Record, ...]] = [
    (OPENED, records.MessageAppended(role="system", message=b"{}")),
    (records.IterationStarted(number=1),),
    (records.EventQueued(path="status", body={"message": "\u00e9", "iteration": 1}), records.EventDelivered()),
]
FRAMES = [encode_frame(group) for group in GROUPS]
WHOLE = FORMAT_LINE + b"".join(FRAMES)


class FailingStorage:
    """A disk that is full after `room` bytes until the file is cut, or that fails for good if `is_broken`."""

    def __init__(self, room: int, *, is_broken: bool = False, sync_fails: bool = False) -> None:
        self.content = bytearray()
        self.syncs = 0
        self._room = room
        self._is_broken = is_broken
        self._sync_fails = sync_fails

    def append(self, data: bytes) -> None:
        fits = max(0, self._room - len(self.content))
        self.content += data[:fits]
        if fits < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def sync(self) -> None:
        self.syncs += 1
        await trio.sleep(1)
        if self._sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def cut(self, size: int) -> None:
        if self._is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        del self.content[size:]

    def close(self) -> None:
        """There is nothing to release."""


def opened(content: bytes) -> tuple[Journal, Disk]:
    disk = Disk()
    disk.content += content
    return Journal(DiskStorage(disk), content), disk


def test_commits_are_read_back_as_they_were_made() -> None:
    journal, disk = opened(b"")
    for group in GROUPS:
        journal.append(group)
    assert bytes(disk.content) == WHOLE
    again, _ = opened(WHOLE)
    assert again.past == GROUPS
    assert again.torn == 0


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_tail_torn_at_any_byte_is_cut_after_the_last_whole_commit(size: int) -> None:
    journal, disk = opened(WHOLE[:size])
    ends = [len(FORMAT_LINE) + sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)]
    whole = [end for end in ends if end <= size]
    assert journal.past == GROUPS[: max(0, len(whole) - 1)]
    assert journal.torn == size - (whole[-1] if whole else 0)
    journal.append(GROUPS[1])
    assert opened(bytes(disk.content))[0].past == [*journal.past, GROUPS[1]]


@pytest.mark.parametrize("at", range(len(FORMAT_LINE), len(WHOLE)))
def test_flipped_bit_ends_the_reading_before_its_commit(at: int) -> None:
    content = bytearray(WHOLE)
    content[at] ^= 1 << at % 8
    journal, disk = opened(bytes(content))
    past = journal.past
    assert past == GROUPS[: len(past)]
    assert len(FORMAT_LINE) + sum(map(len, FRAMES[: len(past)])) == len(disk.content) <= at


def test_length_over_the_limit_is_damage() -> None:
    journal, _ = opened(WHOLE + (MAX_FRAME_BYTES + 1).to_bytes(4, "little") + bytes(1000))
    assert journal.past == GROUPS


@pytest.mark.parametrize("content", [b"\0", b"#!/bin/sh\n", b"trioworker", b"Trioworker journal 2\n", b"\xff" * 100])
def test_other_file_is_refused_and_left_unchanged(content: bytes, tmp_path: Path) -> None:
    path = journal_path(tmp_path, JOB_ID)
    path.write_bytes(content)
    if FORMAT_LINE.startswith(content):
        open_journal(tmp_path, JOB_ID).close()
        return
    with pytest.raises(
        ConfigError, match=r"is not a trioworker journal; move the file away, or choose another --state-dir$"
    ):
        open_journal(tmp_path, JOB_ID)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            b"0",
            r"is of format 0, written by an older trioworker; finish the job with that version, or move the file away",
        ),
        (
            b"1",
            r"is of format 1, written by an older trioworker; finish the job with that version, or move the file away",
        ),
        (b"4", r"is of format 4, newer than this program; use a newer trioworker, or move the file away"),
        (b"12", r"is of format 12, newer than this program; use a newer trioworker, or move the file away"),
        (b"two", r"is not a trioworker journal; move the file away, or choose another --state-dir"),
        (b"", r"is not a trioworker journal; move the file away, or choose another --state-dir"),
        (b"\xb2", r"is not a trioworker journal; move the file away, or choose another --state-dir"),
        (b"9" * 5000, r"is not a trioworker journal; move the file away, or choose another --state-dir"),
    ],
    ids=["0", "1", "4", "12", "word", "nothing", "not ASCII", "very long"],
)
def test_journal_of_another_format_is_refused_and_left_unchanged(version: bytes, message: str, tmp_path: Path) -> None:
    content = b"trioworker journal " + version + b"\n" + FRAMES[0]
    path = journal_path(tmp_path, JOB_ID)
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        open_journal(tmp_path, JOB_ID)
    assert str(caught.value) == f"{path} {message}"
    assert path.read_bytes() == content


def test_journal_of_another_job_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "another")
    path.write_bytes(WHOLE + b"torn")
    with pytest.raises(ConfigError, match=f"belongs to job {JOB_ID}, not another; move it away"):
        open_journal(tmp_path, "another")
    assert path.read_bytes() == WHOLE + b"torn"


def test_owner_is_found_after_an_empty_commit() -> None:
    journal, _ = opened(FORMAT_LINE + encode_frame(()) + FRAMES[0])
    with pytest.raises(ConfigError, match="belongs to job"):
        check_owner(journal, "another")
    check_owner(journal, JOB_ID)
    check_owner(opened(FORMAT_LINE + encode_frame(()))[0], JOB_ID)


def test_second_worker_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    first = open_journal(tmp_path, JOB_ID)
    with pytest.raises(ConfigError, match="another worker runs this job; stop it first"):
        open_journal(tmp_path, JOB_ID)
    first.append(GROUPS[0])
    first.close()
    second = open_journal(tmp_path, JOB_ID)
    assert second.past == [GROUPS[0]]
    second.close()


def test_file_and_directory_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    open_journal(folder, JOB_ID).close()
    assert stat.S_IMODE(journal_path(folder, JOB_ID).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "file for a folder"])
def test_unusable_path_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    path = journal_path(tmp_path / "state", JOB_ID)
    if kind == "file for a folder":
        path.parent.write_text("")
    else:
        path.parent.mkdir()
    if kind == "link":
        (tmp_path / "target").write_bytes(b"precious")
        path.symlink_to(tmp_path / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError, match=r"state") as caught:
        open_journal(path.parent, JOB_ID)
    assert "\n" not in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before
    if kind == "link":
        assert (tmp_path / "target").read_bytes() == b"precious"


def test_tail_that_cannot_be_cut_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="the journal: its torn tail can't be cut: Input/output error"):
        Journal(FailingStorage(10_000, is_broken=True), WHOLE + b"torn")


@pytest.mark.parametrize("room", [0, len(FORMAT_LINE) - 1])
def test_disk_that_is_full_from_the_start_is_a_configuration_error(room: int) -> None:
    # A restart would take an empty journal for a new job's, and run tools a second time.
    with pytest.raises(ConfigError, match="the journal: can't be written: No space left on device"):
        Journal(FailingStorage(room))


async def test_journal_in_the_workspace_is_refused(workspace: Path) -> None:
    world = SimulatedOrchestrator()
    with pytest.raises(ConfigError, match="is in the workspace, where tools write; choose another"):
        await run_job(world.config(workspace, state_dir=workspace / "state"), transport=world, tools=[])
    assert not (workspace / "state").exists()


async def test_concurrent_syncs_are_one_sync(autojump_clock: MockClock) -> None:
    storage = FailingStorage(10_000)
    journal = Journal(storage)
    journal.append(GROUPS[0])
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(journal.sync)
    assert storage.syncs == 1
    await journal.sync()
    assert storage.syncs == 1


async def test_commit_during_a_sync_is_synced_by_the_next(autojump_clock: MockClock) -> None:
    storage = FailingStorage(10_000)
    journal = Journal(storage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.sync)
        await trio.sleep(0.5)
        journal.append(GROUPS[0])
        nursery.start_soon(journal.sync)
        nursery.start_soon(journal.sync)
    assert storage.syncs == 2


async def test_sync_works_after_a_cancelled_one(autojump_clock: MockClock) -> None:
    storage = FailingStorage(10_000)
    journal = Journal(storage)
    with trio.move_on_after(0.5):
        await journal.sync()
    await journal.sync()
    assert storage.syncs == 2


@pytest.mark.parametrize("room", range(len(FORMAT_LINE) + len(FRAMES[0]), len(WHOLE)))
def test_full_disk_leaves_only_a_note(room: int) -> None:
    storage = FailingStorage(room)
    journal = Journal(storage)
    for group in GROUPS:
        journal.append(group)
    (note,) = opened(bytes(storage.content))[0].past
    assert note == (records.JournalAbandoned(reason=str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))),)


async def test_failed_sync_ends_the_recording(autojump_clock: MockClock) -> None:
    storage = FailingStorage(10_000, sync_fails=True)
    journal = Journal(storage)
    journal.append(GROUPS[0])
    await journal.sync()
    journal.append(GROUPS[1])
    await journal.sync()
    assert storage.syncs == 1
    assert isinstance(opened(bytes(storage.content))[0].past[0][0], records.JournalAbandoned)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (records.ReplyAccepted(loop_state=records.LoopState(), input_tokens=2**70), "can't be encoded"),
        (records.FollowUpReceived(content="\ud800"), "can't be encoded"),
        (records.MessageAppended(role="tool", message=bytes(MAX_FRAME_BYTES)), "can be read back"),
    ],
    ids=["number", "text", "size"],
)
def test_commit_that_could_not_be_read_back_ends_the_recording(change: records.Record, reason: str) -> None:
    journal, disk = opened(WHOLE)
    journal.append((change,))
    journal.append(GROUPS[1])
    ((note,),) = opened(bytes(disk.content))[0].past
    assert isinstance(note, records.JournalAbandoned)
    assert reason in note.reason


def test_full_journal_leaves_only_a_note() -> None:
    class Counter(FailingStorage):
        """Counts the bytes, and keeps only the last write."""

        total = 0

        def append(self, data: bytes) -> None:
            self.total += len(data)
            self.content[:] = data

    storage = Counter(0)
    journal = Journal(storage)
    change = records.MessageAppended(role="tool", message=bytes(100 * MIB))
    for _ in range(11):
        journal.append((change,))
    assert storage.total < MAX_JOURNAL_BYTES
    ((note,),) = opened(FORMAT_LINE + storage.content)[0].past
    assert isinstance(note, records.JournalAbandoned)
    assert str(MAX_JOURNAL_BYTES) in note.reason


async def test_job_survives_a_full_disk_and_a_restart_says_that_it_cannot_resume(
    workspace: Path, autojump_clock: MockClock
) -> None:
    log = Log()
    turns = [call("probe", text="one"), call("probe", text="two", seconds=100), DONE]
    world = SimulatedOrchestrator(turns)
    storage = FailingStorage(12_000)
    async with open_job(world.config(workspace), transport=world, tools=[Probe(log)], journal=Journal(storage)) as job:
        # Fill the disk while the second call runs.
        await trio.sleep(5)
        job.job.commit(records.FollowUpReceived(content="x" * 20_000))
        outcome = await job.wait()
    assert outcome.success
    assert log.texts == ["one", "two"]

    again = SimulatedOrchestrator(turns)
    restarted = await run_job_again(again, workspace, bytes(storage.content), log)
    assert not restarted[0]
    assert "its journal had been abandoned" in again.reports[0]["message"]
    assert log.texts == ["one", "two"]


async def run_job_again(world: SimulatedOrchestrator, workspace: Path, content: bytes, log: Log) -> tuple[bool, str]:
    disk = Disk()
    disk.content += content
    async with open_job(
        world.config(workspace), transport=world, tools=[Probe(log)], journal=Journal(DiskStorage(disk), content)
    ) as job:
        outcome = await job.wait()
    return outcome.success, outcome.message


async def test_second_start_of_a_finished_job_does_nothing(workspace: Path, tmp_path: Path) -> None:
    state, log = tmp_path / "state", Log()
    world = SimulatedOrchestrator([call("probe", text="one"), DONE], thinking=0.0)
    outcome = await run_job(world.config(workspace, state_dir=state), transport=world, tools=[Probe(log)])
    assert outcome.success
    asked = len(world.exchanges)
    again = await run_job(world.config(workspace, state_dir=state), transport=world, tools=[Probe(log)])
    assert (again.status, again.message, again.iterations) == (outcome.status, outcome.message, outcome.iterations)
    assert len(world.exchanges) == asked
    assert log.texts == ["one"]
    storage = FileStorage(journal_path(state, JOB_ID))
    journal = Journal(storage, storage.read())
    journal.close()
    assert journal.torn == 0
    assert isinstance(journal.past[-1][-1], records.ReportAccepted)
