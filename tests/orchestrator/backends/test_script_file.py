"""Reading script files, and the line that each error names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.backends.script_file import load_turns
from trioworker.protocol.wire import Message

if TYPE_CHECKING:
    from pathlib import Path

TURNS = """\
# a comment
- content: one
- tool_calls:
    - name: shell
      arguments: {command: ls}
  expect: "^x"
"""


def written(folder: Path, text: str, name: str = "turns.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_and_an_object_with_turns_are_equivalent(tmp_path: Path) -> None:
    bare = load_turns(written(tmp_path, TURNS))
    indented = "turns:\n" + "".join(f"  {line}\n" for line in TURNS.splitlines())
    named = load_turns(written(tmp_path, indented, "named.yaml"))

    assert bare == named
    assert bare[0].content == "one"
    assert bare[1].tool_calls[0].arguments == {"command": "ls"}


def test_json_may_contain_tabs_and_surrogate_escapes(tmp_path: Path) -> None:
    path = written(tmp_path, '[\n\t{"content": "\\ud83d\\ude00 a\\/b"}\n]\n', "turns.json")

    assert load_turns(path)[0].content == "😀 a/b"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("- content: one\n- contents: two\n", 2, "unknown key `contents`; known are content, tool_calls"),
        ("- tool_calls:\n    - name: a\n      argument: {}\n", 3, "unknown key `argument`; known are name, arguments"),
        ("- content: one\n- content: two\n  delay: -1\n", 3, "`delay`: Expected `float` >= 0"),
        ("- content: [1]\n", 1, "`content`: Expected `str | null`, got `array`"),
        ("- tool_calls:\n  - name: a\n  - arguments: {}\n", 3, "missing required field `name`"),
        ("- content: one\n- just words\n", 2, "Expected `object`, got `str`"),
        ("- content: one\n\n- content: a\n  expect: '('\n", 4, "`expect` is not a regular expression"),
        ("- content: 'open\n", 2, "fix the syntax"),
        ("turns:\n- content: one\nturn: []\n", 3, "unknown key `turn`"),
        ("", 1, "a script is a list"),
        ("turns: []\n", 1, "a script is a list"),
        ("content: one\n", 1, "a script is a list"),
        ("- content: \x00\n", 1, "fix the syntax"),
        ("- tool_calls:\n  - name: a\n    arguments: &a\n      b: *a\n", 3, "arguments that JSON can't represent"),
        ("- content: !!python/name:os.system x\n", 1, "use a plain value"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_turns(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message
    assert "\n" not in message


def test_a_json_error_names_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, '[\n{"content": "a"},\n{"content": "b",}\n]', "turns.json")

    with pytest.raises(ConfigError, match=r"turns\.json:3: "):
        load_turns(path)


def test_a_missing_or_binary_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load_turns(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"- content: one\n- content: \xff\n")
    with pytest.raises(ConfigError, match=r"binary\.yaml:2: not UTF-8"):
        load_turns(binary)


async def test_the_backend_plays_the_turns(tmp_path: Path) -> None:
    backend = open_backend(f"script:{written(tmp_path, TURNS)}")
    ask = Message(role="user", content="go")

    reply = await backend.complete(LlmRequest(messages=(ask,), tools=()))
    assert reply.content == "one"

    message = Message(role="assistant", content="one")
    with pytest.raises(LlmRefusedError, match=r"turns\.yaml: turn 2 of the script expects /\^x/"):
        await backend.complete(LlmRequest(messages=(ask, message), tools=()))
