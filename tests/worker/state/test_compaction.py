"""What compaction leaves of messages: true numbers, where the whole is, and what the model did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trioworker.protocol import wire
from trioworker.worker.state.compaction import encode_message
from trioworker.worker.state.conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 60_000
KEPT = "/tmp/outputs/1-1.txt"
MODULE = (
    "".join(f"{number}\tvalue = compute({number:020})\n" for number in range(1, 801))
    + "[lines 1-800 of 2501; continue with offset 801]"
)

Call = tuple[str, dict[str, Any], str]


def say(conversation: Conversation, role: wire.Role, content: str, **more: Any) -> None:
    conversation.append(role, encode_message(wire.Message(role=role, content=content, **more)))


def opened() -> Conversation:
    conversation = Conversation()
    say(conversation, "system", "You are an agent.")
    say(conversation, "user", "Fix the parser.")
    return conversation


def take_turn(conversation: Conversation, turn: str, calls: Sequence[Call], text: str = "") -> None:
    """A turn of calls, each a tool, its arguments and its result. Their ids are `turn` and a number."""
    requested = tuple(
        wire.ToolCall(id=f"{turn}{number}", name=name, arguments=arguments)
        for number, (name, arguments, _) in enumerate(calls)
    )
    say(conversation, "assistant", text, tool_calls=requested)
    for call, (name, _, result) in zip(requested, calls, strict=True):
        say(conversation, "tool", result, tool_call_id=call.id, name=name)


def result_of(conversation: Conversation, call_id: str) -> str:
    return next(message.content for message in conversation if message.tool_call_id == call_id)


def first_call(conversation: Conversation) -> wire.ToolCall:
    return next(message.tool_calls[0] for message in conversation if message.tool_calls)


def shell(result: str) -> Call:
    return "shell", {"command": "pytest -q"}, result


def test_result_that_is_cut_says_how_many_lines_are_missing_and_where_they_are() -> None:
    conversation = opened()
    take_turn(conversation, "a", [("read_file", {"path": "a.py"}, MODULE), ("grep", {"pattern": "x"}, MODULE)])
    conversation.compact(40_000)
    read = result_of(conversation, "a0").splitlines()
    cut = next(index for index, line in enumerate(read) if "left out here" in line)
    missing = 801 - (len(read) - 1)
    assert missing > 100
    assert read[cut] == (
        f"[{missing} of the 801 lines shown were left out here to save space; "
        f"call read_file again for them, from line {cut + 1}]"
    )
    assert read[cut - 1].startswith(f"{cut}\t")
    assert read[cut + 1].startswith(f"{cut + missing + 1}\t")
    assert read[-1] == "[lines 1-800 of 2501; continue with offset 801]"
    assert "call grep again for them]" in result_of(conversation, "a1")


def test_result_that_is_cut_names_the_file_with_the_whole() -> None:
    conversation = opened()
    take_turn(conversation, "a", [shell("ok\n" * 40_000)])
    conversation.kept_outputs["a0"] = KEPT
    conversation.compact(LIMIT)
    assert f"were left out here to save space; the full output is in {KEPT}]" in result_of(conversation, "a0")


def test_result_that_was_cut_becomes_a_line_with_its_first_size() -> None:
    conversation = opened()
    take_turn(conversation, "a", [shell("== start ==\n" + "x" * 110_000 + "\n972 passed, 42 skipped\n[exit code 1]")])
    conversation.kept_outputs["a0"] = KEPT
    size = len(result_of(conversation, "a0"))
    for limit in (50_000, 30_000):
        conversation.compact(limit)
    result = result_of(conversation, "a0")
    assert result.startswith(
        f"[compacted to save space: shell returned {size} bytes; the full output is in {KEPT}; beginning: == start "
    )
    assert result.endswith("; end: 972 passed, 42 skipped [exit code 1]]")
    assert "left out here" not in result[:-100]


@pytest.mark.parametrize(
    ("tool", "result", "shown"),
    [
        ("shell", "collected\n" + "x\n" * 9_000 + "972 passed\n", "; end: 972 passed]"),
        ("grep", "a.py\n" + "b.py\n" * 3_000 + "[79 matching lines]", "; end: [79 matching lines]]"),
        ("read_file", "1\timport os\n" + "2\tx\n" * 3_000, " 2 x ...]"),
    ],
)
def test_line_of_an_old_result_shows_its_end_but_not_the_arguments(tool: str, result: str, shown: str) -> None:
    conversation = opened()
    for number in range(8):
        take_turn(conversation, str(number), [(tool, {"secret_argument": 1}, result)])
    conversation.compact(LIMIT)
    line = result_of(conversation, "00")
    assert line.startswith(f"[compacted to save space: {tool} returned {len(result)} bytes")
    assert line.endswith(shown)
    assert "secret_argument" not in line


def test_small_results_stay_whole_beside_large_ones() -> None:
    conversation = opened()
    small = "important line\n" * 113
    take_turn(conversation, "a", [*[shell("x\n" * 15_000)] * 3, shell(small)])
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    assert result_of(conversation, "a3") == small


@pytest.mark.parametrize("limit", range(30_000, 62_000, 4_000))
def test_cuts_save_200_bytes_or_are_not_made(limit: int) -> None:
    conversation = opened()
    results = ["x" * (15_000 + 60 * number) for number in range(4)]
    take_turn(conversation, "a", [shell(result) for result in results])
    conversation.compact(limit)
    assert conversation.size <= limit
    for number, before in enumerate(results):
        after = result_of(conversation, f"a{number}")
        assert after == before or len(after) <= len(before) - 200


def test_older_of_two_large_turns_is_cut_so_that_the_next_compaction_is_far_away() -> None:
    conversation = opened()
    for turn in "abcd":
        take_turn(conversation, turn, [shell(f"{turn * 18}\n" * 800)])
    last = result_of(conversation, "d0")
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT / 2
    assert "left out here to save space" in result_of(conversation, "c0")
    assert result_of(conversation, "d0") == last


def test_note_about_turns_left_out_names_edited_files_commands_and_texts() -> None:
    conversation = opened()
    patch = "*** Begin Patch\n*** Update File: src/c.py\n*** End Patch"
    take_turn(
        conversation,
        "a",
        [
            ("write_file", {"path": "src/a.py", "content": "x"}, "ok"),
            ("apply_patch", {"path": "src/b.py", "edits": []}, "ok"),
            ("apply_patch", {"patch": patch}, "ok"),
            ("read_file", {"path": "src/only_read.py"}, "1\tx"),
            ("shell", {"command": "git commit -m 'Fix it'"}, "ok"),
        ],
        "The parser drops the last token.",
    )
    number = 0
    while "left out" not in (note := list(conversation)[2].content):
        number += 1
        take_turn(conversation, f"t{number}_", [shell("y" * 300)])
        conversation.compact(LIMIT)
    assert "for: src/a.py, src/b.py, src/c.py\n" in note
    assert "You said: The parser drops the last token." in note
    assert "You called shell: git commit -m 'Fix it'" in note
    assert "only_read" not in note
    assert note.count("pytest -q") == 1


def test_note_about_many_turns_stays_short_and_keeps_the_newest() -> None:
    conversation = opened()
    for number in range(2_000):
        edit = ("write_file", {"path": f"src/module_{number}.py", "content": ""}, "ok")
        take_turn(conversation, f"t{number}_", [edit], f"Step {number}. " * 20)
        conversation.compact(LIMIT)
    note = list(conversation)[2].content
    assert len(note) < 3_300
    left_out = int(first_call(conversation).id[1:].split("_")[0]) - 1
    assert f"src/module_{left_out}.py" in note
    assert f"Step {left_out}. " in note
    assert "module_1.py" not in note


def test_arguments_that_are_shortened_keep_their_types() -> None:
    conversation = opened()
    edits = [
        {"old_string": "a" * 5_000, "new_string": "b" * 5_000, "all": True},
        {"old_string": "c", "new_string": "d"},
    ]
    for number in range(8):
        take_turn(conversation, str(number), [("apply_patch", {"path": "a.py", "edits": edits}, "ok")])
    conversation.compact(LIMIT)
    arguments = first_call(conversation).arguments
    assert arguments["path"] == "a.py"
    assert arguments["edits"][0]["old_string"].endswith("aaa... [compacted to save space: 5000 characters in all]")
    assert arguments["edits"][0]["all"] is True
    assert arguments["edits"][1] == edits[1]
