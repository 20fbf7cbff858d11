"""The journal: the write-ahead log of a job, an append-only file of the records that `Job.commit` was given.

A file starts with a line that names its format. Frames follow: the length and the CRC-32 of the payload, four bytes
each, little endian, then the payload, a MessagePack array of records. A commit is one frame, so a process that dies
during a write leaves whole commits and a torn tail, which is cut off on restart. What is written survives the process;
what is synced survives the machine.
"""

from __future__ import annotations

import re
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

FORMAT = 3
"""The number of the format. Increase it with each change that another version would misread, such as a record's tag."""
FORMAT_LINE = b"trioworker journal %d\n" % FORMAT
"""The first line of a journal."""

UNENCODABLE = (OverflowError, UnicodeEncodeError, RecursionError, MemoryError)
"""What msgspec raises for values that MessagePack can't represent, or whose encoding doesn't fit into memory. The
contract excludes the former, but a tool may produce one.
"""

_FRAME_HEADER = struct.Struct("<II")

AnyRecord = (
    records.JobOpened
    | records.MessageAppended
    | records.HistoryCompacted
    | records.ContextLimitLowered
    | records.LimitsNoted
    | records.WrapUpStarted
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
    """The bytes of a journal. Every method except `close` may raise `OSError`."""

    def append(self, data: bytes) -> None:
        """Add `data` at the end."""
        ...

    async def sync(self) -> None:
        """Return once everything appended so far survives a crash of the machine."""
        ...

    def cut(self, size: int) -> None:
        """Keep only the first `size` bytes."""
        ...

    def close(self) -> None:
        """Release the storage."""
        ...


class Journal:
    """The recorded commits of one job.

    When a write fails, recording stops and the job continues: the journal then says only that the job can't be resumed.

    Attributes:
        past: the commits that an earlier process recorded, each as the tuple of its records.
        torn: bytes of a torn or damaged tail that were cut off.
    """

    def __init__(
        self, storage: Storage, content: bytes = b"", *, name: str = "the journal", job_id: str | None = None
    ) -> None:
        """Read `content`, the bytes that the storage holds, and prepare the storage for appending.

        `name` starts every message about the journal. With a `job_id`, the journal of another job is refused and left
        unchanged.

        Raises:
            ConfigError: the content isn't a journal, has another format, belongs to another job, or can't be written.
        """
        self._storage = storage
        self._name = name
        self._open = True
        self._written = 0
        self._synced = 0
        self._syncing: trio.Event | None = None
        self._size = _check_format(content, name)
        self.past: list[tuple[Record, ...]] = []
        for commit, end in read_frames(content, self._size):
            self.past.append(commit)
            self._size = end
        if job_id is not None:
            check_owner(self, job_id)
        self.torn = len(content) - self._size
        if self.torn:
            logger.warning("{}: cut off a torn or damaged tail of {} bytes", name, self.torn)
            try:
                storage.cut(self._size)
            except OSError as error:
                raise ConfigError(f"{name}: its torn tail can't be cut: {error.strerror}") from error
        if self._size == 0:
            self._write_format_line()

    def _write_format_line(self) -> None:
        # Fail now: on restart, a journal that could not be written would look like that of a new job.
        try:
            self._storage.append(FORMAT_LINE)
        except OSError as error:
            raise ConfigError(f"{self._name}: can't be written: {error.strerror}") from error
        self._size = len(FORMAT_LINE)
        self._written += 1

    def append(self, changes: Sequence[Record]) -> None:
        """Record one commit. Never fails: a commit that can't be recorded ends the recording."""
        if not self._open:
            return
        try:
            frame = encode_frame(changes)
        except UNENCODABLE as error:
            self._abandon(f"a record can't be encoded: {error or type(error).__name__}")
            return
        if len(frame) > MAX_FRAME_BYTES:
            self._abandon(f"a commit has {len(frame)} bytes, at most {MAX_FRAME_BYTES} can be read back")
        elif self._size + len(frame) > MAX_JOURNAL_BYTES:
            self._abandon(f"it would exceed {MAX_JOURNAL_BYTES} bytes")
        else:
            self._write(frame)

    async def sync(self) -> None:
        """Wait until everything appended so far survives a crash of the machine. Concurrent calls share one sync."""
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
                self._abandon(str(error))
            finally:
                self._syncing = None
                syncing.set()

    def close(self) -> None:
        """Close the storage. From now on, another worker can open the journal."""
        self._open = False
        self._storage.close()

    def _write(self, frame: bytes) -> None:
        try:
            self._storage.append(frame)
        except OSError as error:
            self._abandon(str(error))
        else:
            self._size += len(frame)
            self._written += 1

    def _abandon(self, reason: str) -> None:
        """Stop recording. A restart from a journal with a gap would run tools twice, so replace it by a note."""
        logger.error("{}: recording stopped, so this job can't be resumed: {}", self._name, reason)
        self._open = False
        try:
            # The note fits into the space that the cut frees, even on a full disk.
            self._storage.cut(len(FORMAT_LINE))
            self._storage.append(encode_frame((records.JournalAbandoned(reason=reason),)))
        except OSError as error:
            logger.error("{}: {}", self._name, error)


def encode_frame(changes: Sequence[Record]) -> bytes:
    """The frame of one commit."""
    payload = _encode(changes)
    return _FRAME_HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(content: bytes, start: int) -> Iterator[tuple[tuple[Record, ...], int]]:
    """Yield each commit from offset `start` on and the offset where its frame ends, up to the first broken frame."""
    view = memoryview(content)
    while start + _FRAME_HEADER.size <= len(content):
        length, checksum = _FRAME_HEADER.unpack_from(content, start)
        end = start + _FRAME_HEADER.size + length
        if length > MAX_FRAME_BYTES or end > len(content):
            return
        payload = view[start + _FRAME_HEADER.size : end]
        if zlib.crc32(payload) != checksum:
            return
        try:
            commit = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        yield commit, end
        start = end


def _check_format(content: bytes, name: str) -> int:
    """The size of the format line; 0 when the file is new, or the write of that line was torn."""
    if content.startswith(FORMAT_LINE):
        return len(FORMAT_LINE)
    if FORMAT_LINE.startswith(content):
        return 0
    match = re.match(rb"trioworker journal (\d{1,9})(?:\n|$)", content)
    if match is None:
        raise ConfigError(f"{name} is not a trioworker journal; move the file away, or choose another --state-dir")
    version = int(match[1])
    if version < FORMAT:
        remedy = "written by an older trioworker; finish the job with that version, or move the file away"
    else:
        remedy = "newer than this program; use a newer trioworker, or move the file away"
    raise ConfigError(f"{name} is of format {version}, {remedy}")


def check_owner(journal: Journal, job_id: str) -> None:
    """Check that the journal belongs to the job `job_id`, or is empty.

    Raises:
        ConfigError: it belongs to another job.
    """
    first = next((record for commit in journal.past for record in commit), None)
    if isinstance(first, records.JobOpened) and first.job_id.lower() != job_id.lower():
        raise ConfigError(f"the journal belongs to job {first.job_id}, not {job_id}; move it away")
