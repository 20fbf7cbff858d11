"""Scripts on disk: what is read, and the line that each error names."""

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


def test_a_yaml_list_and_an_object_with_turns_are_the_same(tmp_path: Path) -> None:
    bare = load_turns(written(tmp_path, TURNS))
    indented = "turns:\n" + "".join(f"  {line}\n" for line in TURNS.splitlines())
    named = load_turns(written(tmp_path, indented, "named.yaml"))

    assert bare == named
    assert bare[0].content == "one"
    assert bare[1].tool_calls[0].arguments == {"command": "ls"}


def test_json_may_be_indented_by_tabs_and_escape_beyond_the_basic_plane(tmp_path: Path) -> None:
    path = written(tmp_path, '[\n\t{"content": "\\ud83d\\ude00 a\\/b"}\n]\n', "turns.json")

    assert load_turns(path)[0].content == "😀 a/b"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- content: one\n- contents: two\n", 2, "unknown key `contents`; known are content, tool_calls"),
        ("- tool_calls:\n    - name: a\n      argument: {}\n", 3, "unknown key `argument`; known are name, arguments"),
        ("- content: one\n- content: two\n  delay: -1\n", 3, "`delay`: Expected `float` >= 0"),
        ("- content: [1]\n", 1, "`content`: Expected `str | null`, got `array`"),
        ("- tool_calls:\n  - name: a\n  - arguments: {}\n", 3, "missing required field `name`"),
        ("- content: one\n- just words\n", 2, "Expected `object`, got `str`"),
        ("- content: one\n\n- content: a\n  expect: '('\n", 4, "`expect` is no regular expression"),
        ("- content: 'open\n", 2, "mend the syntax"),
        ("turns:\n- content: one\nturn: []\n", 3, "unknown key `turn`"),
        ("", 1, "a script is a list"),
        ("turns: []\n", 1, "a script is a list"),
        ("content: one\n", 1, "a script is a list"),
        ("- content: \x00\n", 1, "mend the syntax"),
        ("- tool_calls:\n  - name: a\n    arguments: &a\n      b: *a\n", 3, "arguments that JSON can't hold"),
        ("- content: !!python/name:os.system x\n", 1, "write a plain value"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_fault(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_turns(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert said in message
    assert "\n" not in message


def test_an_error_in_json_names_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, '[\n{"content": "a"},\n{"content": "b",}\n]', "turns.json")

    with pytest.raises(ConfigError, match=r"turns\.json:3: "):
        load_turns(path)


def test_a_script_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
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

    said = Message(role="assistant", content="one")
    with pytest.raises(LlmRefusedError, match=r"turns\.yaml: turn 2 of the script expects /\^x/"):
        await backend.complete(LlmRequest(messages=(ask, said), tools=()))


@pytest.mark.parametrize(
    "spec", ["", "script", "script:", "gpt:4", "openai:", "openai:localhost", "openai:ftp://x", "openai:http://[x"]
)
def test_a_model_that_is_none_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"--llm .*; (use|write) [^\n]+\Z"):
        open_backend(spec)
