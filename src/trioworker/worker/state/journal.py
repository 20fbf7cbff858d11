"""The job on disk: an append-only file of the records that `Job.commit` was given.

A file begins with a line that names its format. Then come frames: length and CRC-32 of the payload, four bytes each,
little endian, and the payload, a MessagePack array of records. What was committed together is one frame, so a process
that dies in a write leaves a whole number of decisions and a torn tail, which is cut. What is written outlives the
process; what is synced outlives the machine.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio
from loguru import logger

from trioworker.errors import ConfigError
from trioworker.protocol.limits import MAX_FRAME_BYTES, MAX_JOURNAL_BYTES
from trioworker.worker.state import records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trioworker.worker.state.records import Record

FORMAT_LINE = b"trioworker journal 1\n"
"""Names the format; a change that an older program would misread counts it up."""

UNENCODABLE = (OverflowError, UnicodeEncodeError, RecursionError)
"""What msgspec raises for a value that MessagePack can't hold: nothing in the contract's bounds, but a tool may try."""

_FRAME = struct.Struct("<II")

AnyRecord = (
    records.JobOpened
    | records.MessageAppended
    | records.HistoryCompacted
    | records.IterationStarted
    | records.ReplyAccepted
    | records.CallAnnounced
    | records.CallStarted
    | records.CallEnded
    | records.TurnClosed
    | records.FollowUpReceived
    | records.FollowUpsJoined
    | records.PollingEnded
    | records.EventQueued
    | records.EventDelivered
    | records.OutcomeDecided
    | records.OutboxSealed
    | records.ReportStarted
    | records.ReportAccepted
    | records.JournalAbandoned
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[AnyRecord, ...]).decode


class Storage(Protocol):
    """Where a journal's bytes are kept."""

    def append(self, data: bytes) -> None:
        """Add to the end. Raises `OSError`."""
        ...

    async def sync(self) -> None:
        """Return when all that was appended would outlive the machine. Raises `OSError`."""
        ...

    def cut(self, size: int) -> None:
        """Drop what stands after the first `size` bytes. Raises `OSError`."""
        ...

    def close(self) -> None:
        """Give the storage up."""
        ...


class Journal:
    """Records a job's changes. When the storage fails, the job goes on, and a later start is told that it can't resume.

    Attributes:
        past: what was recorded before, a group for each commit.
        torn: bytes of a torn or damaged tail that were cut.
    """

    def __init__(
        self, storage: Storage, content: bytes = b"", *, name: str = "the journal", job_id: str | None = None
    ) -> None:
        """`content` is what the storage holds. With a `job_id`, that of another job is refused, and stays as it is.

        Raises:
            ConfigError: the content is no journal, or that of a newer version, or another job's, or can't be written.
        """
        self._storage = storage
        self._name = name
        self._open = True
        self._written = 0
        self._synced = 0
        self._syncing: trio.Event | None = None
        self._size = _check_format(content, name)
        self.past: list[tuple[Record, ...]] = []
        for group, end in read_frames(content, self._size):
            self.past.append(group)
            self._size = end
        if job_id is not None:
            check_owner(self, job_id)
        self.torn = len(content) - self._size
        if self.torn:
            logger.warning("{}: {} bytes of a torn or damaged tail were cut", name, self.torn)
            try:
                storage.cut(self._size)
            except OSError as error:
                raise ConfigError(f"{name}: its torn tail can't be cut: {error.strerror}") from error
        if self._size == 0:
            self._begin()

    def _begin(self) -> None:
        """A journal that holds nothing looks like a job that never began; so one that can't be begun is refused."""
        try:
            self._storage.append(FORMAT_LINE)
        except OSError as error:
            raise ConfigError(f"{self._name}: can't be written: {error.strerror}") from error
        self._size = len(FORMAT_LINE)
        self._written += 1

    def append(self, changes: Sequence[Record]) -> None:
        """Record what was committed together."""
        if not self._open:
            return
        try:
            frame = encode_frame(changes)
        except UNENCODABLE as error:
            self._give_up(f"a change can't be encoded: {error}")
            return
        if len(frame) > MAX_FRAME_BYTES:
            self._give_up(f"a change has {len(frame)} bytes, at most {MAX_FRAME_BYTES} can be read back")
        elif self._size + len(frame) > MAX_JOURNAL_BYTES:
            self._give_up(f"it is over {MAX_JOURNAL_BYTES} bytes")
        else:
            self._append(frame)

    async def sync(self) -> None:
        """Wait until all that was appended would outlive the machine; callers at the same time share one sync."""
        wanted = self._written
        while self._open and self._synced < wanted:
            if self._syncing is not None:
                await self._syncing.wait()
                continue
            syncing = self._syncing = trio.Event()
            try:
                written = self._written
                await self._storage.sync()
                self._synced = written
            except OSError as error:
                self._give_up(str(error))
            finally:
                self._syncing = None
                syncing.set()

    def close(self) -> None:
        """Close the storage; another worker may take the journal up from here on."""
        self._open = False
        self._storage.close()

    def _append(self, data: bytes) -> None:
        try:
            self._storage.append(data)
        except OSError as error:
            self._give_up(str(error))
        else:
            self._size += len(data)
            self._written += 1

    def _give_up(self, reason: str) -> None:
        """A journal with a gap would make a restart run tools twice; so leave a note that says not to use it."""
        logger.error("{}: no more is recorded, so this job can't be resumed: {}", self._name, reason)
        self._open = False
        try:
            # The note needs no room that the file does not have already.
            self._storage.cut(len(FORMAT_LINE))
            self._storage.append(encode_frame((records.JournalAbandoned(reason=reason),)))
        except OSError as error:
            logger.error("{}: {}", self._name, error)


def encode_frame(changes: Sequence[Record]) -> bytes:
    """A frame that holds the records."""
    payload = _encode(changes)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(content: bytes, start: int) -> Iterator[tuple[tuple[Record, ...], int]]:
    """The groups of records from `start` on, each with where its frame ends; stops at the first that is not whole."""
    view = memoryview(content)
    while start + _FRAME.size <= len(content):
        length, checksum = _FRAME.unpack_from(content, start)
        end = start + _FRAME.size + length
        if length > MAX_FRAME_BYTES or end > len(content):
            return
        payload = view[start + _FRAME.size : end]
        if zlib.crc32(payload) != checksum:
            return
        try:
            group = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        yield group, end
        start = end


def _check_format(content: bytes, name: str) -> int:
    """How many bytes the format line takes; none in a file whose first write was torn."""
    if content.startswith(FORMAT_LINE):
        return len(FORMAT_LINE)
    if FORMAT_LINE.startswith(content):
        return 0
    line = content.split(b"\n", 1)[0]
    if line.startswith(b"trioworker journal "):
        version = line.rpartition(b" ")[2].decode("ascii", "replace")[:20]
        raise ConfigError(
            f"{name} is of format {version}, newer than this program; use a newer trioworker, or move it away"
        )
    raise ConfigError(f"{name} is no journal of trioworker; move it away, or choose another --state-dir")


def check_owner(journal: Journal, job_id: str) -> None:
    """Refuse the journal of another job.

    Raises:
        ConfigError: that is what it is.
    """
    first = next((record for group in journal.past for record in group), None)
    if isinstance(first, records.JobOpened) and first.job_id.lower() != job_id.lower():
        raise ConfigError(f"the journal is of job {first.job_id}, not {job_id}; move it away")
