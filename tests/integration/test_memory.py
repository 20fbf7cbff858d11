"""The memory of a real worker stays within its bound, whatever a file, a reply or an output contains."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.memory import MAX_RESIDENT_BYTES, calls, measured
from trioworker.protocol.limits import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

NEWLINES = b"\n" * 10 * MIB
LATIN = b"\xe9\n" * (MIB // 8)
WIDE_LINE = "\U0001f600".encode() + b"a" * (10 * MIB - 4)
"""One emoji makes each character of the text take 32 bits."""
WORDS = b"some words of a line of text\n" * (10 * MIB // 29)
VALUES_BYTES = 15 * MIB
"""Bytes of values in a reply: almost what a reply may have."""

NEAR_THE_END = {"offset": 100_000}
ACROSS_LINES = {"pattern": "text.some words of no", "multiline": True}
FIRST_LINES_REPLACED = "*** Begin Patch\n*** Update File: file3\n@@\n-\n-\n+x\n*** End of File\n*** End Patch\n"


def nested(values: bytes) -> bytes:
    """A list of the values, as many as a reply may have."""
    return b"[" + values * (VALUES_BYTES // len(values)) + b"0]"


def in_arguments(value: bytes) -> bytes:
    """A reply with a call that has these arguments."""
    call = b'{"id":"a","name":"shell","arguments":%b}' % value
    return b'{"content":null,"finish_reason":"tool_use","tool_calls":[%b]}' % call


def in_text(value: bytes) -> bytes:
    """The value as JSON text within a string."""
    return b'"%b"' % value.replace(b'"', b'\\"')


async def test_reading_large_files_many_times_at_once(store: Store, workspace: Path) -> None:
    files = {"newlines": NEWLINES, "latin": LATIN, "wide": WIDE_LINE, "words": WORDS}
    for name, content in files.items():
        (workspace / name).write_bytes(content)
    context = {"pattern": "x", "mode": "content", "context": 50}
    reads = [
        *[[("read_file", {"path": name})] * 16 for name in files],
        [("read_file", {"path": "latin", **NEAR_THE_END})] * 16,
        [("grep", {"path": "words", **ACROSS_LINES})] * 16,
        [("grep", {"path": "newlines", **context})] * 16,
    ]
    async with measured(store, workspace, [calls(*each) for each in reads]) as measurement:
        assert measurement.job.report.success
        assert len(measurement.job.of_type("tool_result")) == sum(map(len, reads))
    assert measurement.peak < MAX_RESIDENT_BYTES


async def test_searching_a_folder_of_many_files_many_times_at_once(store: Store, workspace: Path) -> None:
    folder = workspace / "many"
    folder.mkdir()
    for number in range(20_000):
        os.mknod(folder / f"a file with a long name {number}")
    searches = [("list_dir", {"path": "many"}), ("glob", {"pattern": "*1"}), ("grep", {"pattern": "x", "glob": "*.py"})]
    async with measured(store, workspace, [calls(*[search] * 8) for search in searches]) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


async def test_changing_large_files(store: Store, workspace: Path) -> None:
    contents = [NEWLINES, NEWLINES[: MIB // 2], NEWLINES, NEWLINES[: 3 * MIB], WIDE_LINE[: MIB // 2]]
    for number, content in enumerate(contents):
        (workspace / f"file{number}").write_bytes(content)
    for number in range(12):
        (workspace / f"deleted{number}").write_bytes(WIDE_LINE[: 5 * MIB])
    deletions = "".join(f"*** Delete File: deleted{number}\n" for number in range(12))
    each = {"new_string": "b", "replace_all": True}
    changes = [
        ("write_file", {"path": "file0", "content": "\U0001f600" * (MIB // 2)}),
        ("apply_patch", {"path": "file1", "old_string": "\n", **each}),
        ("apply_patch", {"path": "file2", "old_string": "not there\nat all", "new_string": "x"}),
        ("apply_patch", {"patch": FIRST_LINES_REPLACED}),
        ("apply_patch", {"path": "file4", "old_string": "a", **each}),
        ("apply_patch", {"patch": f"*** Begin Patch\n{deletions}*** End Patch\n"}),
    ]
    async with measured(store, workspace, [calls(change) for change in changes]) as measurement:
        assert measurement.job.report.success
        assert len(measurement.job.of_type("tool_result")) == len(changes)
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("arguments", b"[],"),
        ("arguments as text", b'{"a":{}},'),
        ("content", b'"ab",'),
        ("details", b"[],"),
    ],
)
async def test_reply_of_millions_of_values(store: Store, workspace: Path, values: bytes, place: str) -> None:
    value = nested(values)
    reply = {
        "arguments": lambda: in_arguments(value),
        "arguments as text": lambda: in_arguments(in_text(value)),
        "content": lambda: b'{"content":%b}' % value,
        "details": lambda: b'{"content":"hm","finish_reason":"stop","reasoning_details":%b}' % value,
    }[place]()
    async with measured(store, workspace, [reply], "--state-dir", str(workspace.parent / "state")) as measurement:
        assert measurement.job.report.success or len(reply) > 16 * MIB
    assert measurement.peak < MAX_RESIDENT_BYTES


async def test_reply_of_one_long_text_of_wide_characters(store: Store, workspace: Path) -> None:
    text = '"\U0001f600'.encode() + b"a" * VALUES_BYTES + b'"'
    reply = b'{"content":%b,"finish_reason":"stop"}' % text
    async with measured(store, workspace, [reply], "--state-dir", str(workspace.parent / "state")) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


async def test_outputs_of_commands(store: Store, workspace: Path) -> None:
    commands = [
        "yes '' | head -c 20000000",
        "echo \U0001f600; yes abc | head -c 20000000; echo \U0001f600",
        "yes sk_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 20000000",
    ]
    replies = [calls(("shell", {"command": command})) for command in commands]
    async with measured(store, workspace, replies) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES
