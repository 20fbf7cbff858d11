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
FIRST_LINES_REPLACED = "*** Begin Patch\n*** Update File: file\n@@\n-\n-\n+x\n*** End of File\n*** End Patch\n"


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


@pytest.mark.parametrize(
    ("content", "tool", "arguments", "count"),
    [
        (NEWLINES, "read_file", {}, 64),
        (LATIN, "read_file", NEAR_THE_END, 16),
        (WIDE_LINE, "read_file", {}, 64),
        (WORDS, "grep", ACROSS_LINES, 16),
        (NEWLINES, "grep", {"pattern": "x", "mode": "content", "context": 50}, 16),
    ],
    ids=["newlines", "Latin-1", "a long line", "search across lines", "search with context"],
)
async def test_reading_a_large_file_many_times_at_once(
    store: Store, workspace: Path, content: bytes, tool: str, arguments: dict[str, object], count: int
) -> None:
    (workspace / "file").write_bytes(content)
    async with measured(store, workspace, [calls(*[(tool, {"path": "file", **arguments})] * count)]) as measurement:
        assert measurement.job.report.success
        assert len(measurement.job.of_type("tool_result")) == count
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize("tool", ["list_dir", "glob", "grep"])
async def test_searching_a_folder_of_many_files_many_times_at_once(store: Store, workspace: Path, tool: str) -> None:
    folder = workspace / "many"
    folder.mkdir()
    for number in range(20_000):
        os.mknod(folder / f"a file with a long name {number}")
    arguments = {"list_dir": {"path": "many"}, "glob": {"pattern": "*1"}, "grep": {"pattern": "x", "glob": "*.py"}}
    async with measured(store, workspace, [calls(*[(tool, arguments[tool])] * 16)]) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize(
    ("content", "tool", "arguments"),
    [
        (NEWLINES, "write_file", {"content": "\U0001f600" * (MIB // 2)}),
        (NEWLINES[:MIB], "apply_patch", {"old_string": "\n", "new_string": "x", "replace_all": True}),
        (NEWLINES, "apply_patch", {"old_string": "not there\nat all", "new_string": "x"}),
        (NEWLINES, "apply_patch", {"patch": FIRST_LINES_REPLACED}),
        (WIDE_LINE[:MIB], "apply_patch", {"old_string": "a", "new_string": "b", "replace_all": True}),
    ],
    ids=["write over lines", "replace each line", "near text", "patch", "replace each character"],
)
async def test_changing_a_large_file(
    store: Store, workspace: Path, content: bytes, tool: str, arguments: dict[str, object]
) -> None:
    (workspace / "file").write_bytes(content)
    path = {} if "patch" in arguments else {"path": "file"}
    async with measured(store, workspace, [calls((tool, {**path, **arguments}))]) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


async def test_patching_and_deleting_many_large_files(store: Store, workspace: Path) -> None:
    for number in range(12):
        (workspace / f"file{number}").write_bytes(WIDE_LINE[: 5 * MIB])
    patch = "".join(["*** Begin Patch\n", *(f"*** Delete File: file{n}\n" for n in range(12)), "*** End Patch\n"])
    async with measured(store, workspace, [calls(("apply_patch", {"patch": patch}))]) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("arguments", b"[],"),
        ("arguments", b"["),
        ("arguments as text", b'{"a":{}},'),
        ("calls", b"0,"),
        ("content", b'"ab",'),
        ("content", b"1"),
        ("details", b"[],"),
    ],
)
async def test_reply_of_millions_of_values(store: Store, workspace: Path, values: bytes, place: str) -> None:
    value = nested(values) if values.endswith(b",") else values * VALUES_BYTES
    reply = {
        "arguments": lambda: in_arguments(value),
        "arguments as text": lambda: in_arguments(in_text(value)),
        "calls": lambda: b'{"content":null,"tool_calls":%b}' % value,
        "content": lambda: b'{"content":%b}' % value,
        "details": lambda: b'{"content":"hm","finish_reason":"stop","reasoning_details":%b}' % value,
    }[place]()
    async with measured(store, workspace, [reply], "--state-dir", str(workspace.parent / "state")) as measurement:
        assert measurement.job.report.success or len(reply) > 16 * MIB
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize("place", ["arguments", "content"])
async def test_reply_of_one_long_text_of_wide_characters(store: Store, workspace: Path, place: str) -> None:
    text = '"\U0001f600'.encode() + b"a" * VALUES_BYTES + b'"'
    reply = in_arguments(text) if place == "arguments" else b'{"content":%b,"finish_reason":"stop"}' % text
    async with measured(store, workspace, [reply], "--state-dir", str(workspace.parent / "state")) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES


@pytest.mark.parametrize(
    "command",
    [
        "yes '' | head -c 20000000",
        "echo \U0001f600; yes abc | head -c 20000000; echo \U0001f600",
        "yes sk_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 20000000",
    ],
    ids=["newlines", "wide characters", "secrets"],
)
async def test_output_of_a_command(store: Store, workspace: Path, command: str) -> None:
    async with measured(store, workspace, [calls(("shell", {"command": command}))]) as measurement:
        assert measurement.job.report.success
    assert measurement.peak < MAX_RESIDENT_BYTES
