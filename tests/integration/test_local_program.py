"""`trioworker local`: its output, its exit code, and resuming a killed worker."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import msgspec
import pytest

from support.program import in_shell, ran
from trioworker.testing import DONE, call, reply, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.program import Ended
    from trioworker.testing import Turn

pytestmark = pytest.mark.integration

WORD_COUNT = """
from typing import ClassVar

from trioworker import Parameters, Tool


class WordCountParameters(Parameters, frozen=True):
    text: str


class WordCount(Tool[WordCountParameters]):
    name: ClassVar[str] = "word_count"
    description: ClassVar[str] = "Count the words of a text."
    parameters: ClassVar[type[Parameters]] = WordCountParameters

    async def run(self, parameters, context):
        return f"{len(parameters.text.split())} words"
"""


async def local(
    workspace: Path,
    turns: Sequence[Turn],
    *options: str,
    stdin: bytes = b"",
    task: str = "Fix the parser.",
    prefix: tuple[str, ...] = (),
) -> Ended:
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode(turns))
    at = ("--workspace", str(workspace), "--llm", f"script:{script}")
    return await ran("local", task, *at, *options, stdin=stdin, prefix=prefix)


async def test_json_prints_every_event(workspace: Path) -> None:
    turns = [
        reply(call("write_file", path="a.txt", content="one\n"), text="I write."),
        call("shell", command="cat a.txt; echo two >> a.txt"),
        DONE,
    ]
    ended = await local(workspace, turns, "--json")

    assert ended.code == 0, ended.err
    assert (workspace / "a.txt").read_text() == "one\ntwo\n"
    events = [json.loads(line) for line in ended.out.splitlines()]
    kinds = ["status", "message", "tool_use", "tool_result", "tool_use", "tool_result", "message", "result"]
    assert [event["event_type"] for event in events] == kinds
    assert [event["number"] for event in events] == list(range(1, len(kinds) + 1))
    assert [event["data"]["seq"] for event in events] == list(range(len(kinds)))
    assert events[-1]["data"]["status"] == "completed"
    assert "completed (" in ended.err


async def test_a_line_on_stdin_is_a_follow_up(workspace: Path) -> None:
    turns = [
        call("shell", command="sleep 1.5"),
        say("The job is complete. So is the other thing.", expect="And the other thing"),
    ]
    ended = await local(workspace, turns, "--json", "--follow-ups", "-", stdin=b"And the other thing.\n")

    assert ended.code == 0, ended.out + ended.err
    data = [json.loads(line)["data"] for line in ended.out.splitlines()]
    assert "And the other thing." in [each.get("content") for each in data if each.get("role") == "user"]


async def test_a_loop_over_the_lines_of_stdin_runs_each_line(workspace: Path) -> None:
    # A job that read standard input would take the next lines as its follow-ups.
    loop = in_shell("", before='while read -r line; do "$@" || exit; done; exit;')
    ended = await local(workspace, [DONE], "--json", stdin=b"first\nsecond\n", prefix=loop)

    assert ended.code == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["event_type"] for event in events].count("result") == 2
    assert "user" not in [event["data"].get("role") for event in events]


async def test_a_task_on_stdin_longer_than_an_argument_reaches_the_model(workspace: Path) -> None:
    # Two bytes per character in UTF-8, six in JSON that is limited to ASCII.
    text = "\u044f" * 199_000 + " last-word"
    turns = [say("The job is complete.", expect="last-word")]
    ended = await local(workspace, turns, "--json", "--context-limit", "150000", task="-", stdin=text.encode())

    assert ended.code == 0, ended.out + ended.err
    kinds = [json.loads(line)["event_type"] for line in ended.out.splitlines()]
    assert kinds == ["status", "message", "result"]


async def test_a_tool_in_the_working_directory_is_added_to_the_built_in_ones_also_in_a_replay(workspace: Path) -> None:
    (workspace.parent / "words.py").write_text(WORD_COUNT)
    turns = [
        reply(call("word_count", text="a b c"), call("list_dir")),
        say("The job is complete.", expect="3 words"),
    ]
    there = in_shell("", before=f"cd {shlex.quote(str(workspace.parent))};")
    ours = ("--tool", "words:WordCount")
    ended = await local(workspace, turns, *ours, "--record", "job.jsonl", prefix=there)
    assert ended.code == 0, ended.out + ended.err

    again = ("local", "--llm", "replay:job.jsonl", "--virtual-time", "--workspace", str(workspace))
    ended = await ran(*again, *ours, prefix=there)
    assert ended.code == 0, ended.out + ended.err


@pytest.mark.parametrize(
    ("turns", "options", "code", "end"),
    [
        ([call("list_dir")] * 3, ["--max-iterations", "2"], 1, "max iterations (2) exceeded"),
        ([say("It comes too late.", delay=300)], ["--timeout", "1"], 1, "Execution timed out"),
        ([say(""), say(None), say("  ")], [], 1, "three empty replies"),
        ([call("shell", command="exit 7"), DONE], [], 0, "The job is complete."),
    ],
)
async def test_the_exit_code_is_the_workers(
    workspace: Path, turns: list[Turn], options: list[str], code: int, end: str
) -> None:
    ended = await local(workspace, turns, *options)

    assert ended.code == code, ended.err
    assert end in ended.out.splitlines()[-1]


async def test_a_killed_worker_resumes_from_its_journal(workspace: Path) -> None:
    deadly = "test -e killed || { touch killed; kill -9 $PPID; sleep 60; }; echo survived"
    turns = [
        call("shell", command="echo once >> count"),
        call("shell", command=deadly),
        DONE,
    ]
    state = workspace.parent / "state"
    # In the sandbox, no command could kill the worker.
    ended = await local(workspace, turns, "--json", "--state-dir", str(state), "--containment", "off")

    assert ended.code == 0, ended.err
    assert (workspace / "count").read_text() == "once\n"
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert "survived" in [event["data"].get("output") for event in events]
    assert any("interrupted" in str(event["data"].get("output")) for event in events)
    assert [path.name for path in state.iterdir()] == ["jobs.sqlite"]


async def test_worker_that_cannot_be_started_is_one_line(workspace: Path) -> None:
    (workspace.parent / "sitecustomize.py").write_text("import sys; sys.executable = '/none/python'\n")
    script = workspace.parent / "turns.json"
    script.write_bytes(msgspec.json.encode([DONE]))
    at = ("--workspace", str(workspace), "--llm", f"script:{script}")
    ended = await ran("local", "Fix the parser.", *at, environment={"PYTHONPATH": str(workspace.parent)})

    assert ended.code == 5
    assert ended.complaint.endswith("'/none/python'; nothing was reported")
