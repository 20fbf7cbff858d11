"""The journal's reader, on any bytes: it raises only `ConfigError`, and returns a prefix of what was written."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.foreign import JSON
from fuzz.profile import fuzzing
from support.identity import JOB_ID
from trioworker.errors import ConfigError
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state import records
from trioworker.worker.state.journal import FORMAT_LINE, Journal, check_owner, encode_frame

GROUPS: list[tuple[records.Record, ...]] = [
    (records.JobOpened(job_id=JOB_ID, title="Fix it", description="All of it.", started_at=1.5),),
    (
        records.MessageAppended(role="user", message=b'{"role":"user","content":"x"}'),
        records.IterationStarted(number=1),
    ),
    (),
    (records.ReplyAccepted(loop_state=records.LoopState(last_text="\u00e9"), calls=(), input_tokens=2**53),),
    (records.EventQueued(path="event", body={"event_type": "status", "data": {"message": "m" * 300}}),),
    (records.EventDelivered(), records.OutcomeDecided(status="completed", message="done")),
]
TAGS = [type(record).__name__ for group in GROUPS for record in group]


def opened(content: bytes) -> tuple[Journal, Disk]:
    disk = Disk()
    disk.content += content
    return Journal(DiskStorage(disk), content), disk


def frame(payload: bytes) -> bytes:
    """A frame with valid length and checksum around any payload."""
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def assert_usable(content: bytes) -> Journal:
    """Assert that a broken tail is gone from the disk, and that a commit added now is read back."""
    journal, disk = opened(content)
    kept = len(journal.past)
    journal.append((records.PollingEnded(),))
    again, _ = opened(bytes(disk.content))
    assert again.torn == 0
    assert len(again.past) == kept + 1
    return journal


@fuzzing(2.0)
@given(st.binary(max_size=300))
@example(b"")
@example(FORMAT_LINE[:7])
@example(b"trioworker journal 1\n")
@example(b"trioworker journal 3\n")
@example(b"trioworker journal \xff")
def test_reader_accepts_any_file(content: bytes) -> None:
    with suppress(ConfigError):
        assert_usable(content)


@fuzzing(2.0)
@given(st.binary(max_size=300))
def test_noise_after_the_format_line_is_cut(noise: bytes) -> None:
    assert_usable(FORMAT_LINE + noise)


damage = st.tuples(
    st.integers(0, 10_000), st.sampled_from(["flip", "cut", "insert", "zeros", "twice"]), st.binary(max_size=9)
)


@fuzzing(2.0)
@given(st.integers(0, len(GROUPS)), damage)
def test_damaged_journal_gives_a_prefix_of_its_commits(count: int, damage: tuple[int, str, bytes]) -> None:
    content = bytearray(b"".join(encode_frame(group) for group in GROUPS[:count]))
    at, kind, noise = damage
    at %= len(content) + 1
    match kind:
        case "flip":
            content[at : at + 1] = bytes(byte ^ 0x10 for byte in content[at : at + 1])
        case "cut":
            del content[at:]
        case "zeros":
            content[at:] = bytes(len(content) - at)
        case "twice":
            content += content[at:]
        case _:
            content[at:at] = noise
    past = assert_usable(FORMAT_LINE + content).past
    whole = min(count, len(past))
    assert past[:whole] == GROUPS[:whole]
    assert kind == "twice" or [group for group in past[whole:] if group] == []


tagged = st.dictionaries(st.sampled_from(["type", "job_id", "number", "calls", "loop_state", "body"]), JSON, max_size=5)


def _record(fields: dict[str, Any], tag: str) -> dict[str, Any]:
    return {**fields, "type": tag}


def _packed(value: object) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return b""


foreign_records = st.builds(_record, tagged, st.sampled_from(TAGS))
payloads = (
    st.binary(max_size=60)
    | st.lists(foreign_records | JSON, max_size=4).map(_packed)
    | st.integers(0, 2000).map(lambda depth: b"\x91" * depth + b"\x90")
    | st.binary(max_size=12).map(lambda noise: b"\x91\xc7\x0c\xff" + noise)
)


@fuzzing(2.0)
@given(st.lists(payloads, max_size=4))
@example([b"\x90"])
def test_valid_frames_without_records_end_the_reading(payloads: list[bytes]) -> None:
    content = FORMAT_LINE + b"".join(frame(payload) for payload in payloads)
    with suppress(ConfigError):
        check_owner(assert_usable(content), JOB_ID)
