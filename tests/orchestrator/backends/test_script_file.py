"""Reading script files, and the line that each error names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmRefusedError, LlmRequest
from trioworker.orchestrator.backends.factory import open_backend
from trioworker.orchestrator.backends.script import ScriptedCall, Turn
from trioworker.orchestrator.backends.script_file import load_turns
from trioworker.protocol.wire import Message

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


PAGE = (Path(__file__).parents[3] / "docs" / "scripts.md").read_text()
SHOWN = re.findall(r"^\| `([^`]+)` \| (`+) ?(.+?) ?\2 \|$", PAGE, re.MULTILINE)
"""The scripts and messages in the page's table of errors."""

CALL = "- tool_calls:\n  - name: a\n"

WRONG_TURNS = [
    # Keys.
    ("- content: one\n- contents: two\n", 2, "unknown key `contents`; did you mean `content`?"),
    ("- Content: one\n", 1, "unknown key `Content`; did you mean `content`?"),
    ("- content: one\n  wait: 2\n", 2, "unknown key `wait`; the keys of a turn are content, tool_calls, finish_reason"),
    ("- text: one\n", 1, "unknown key `text`; the keys of a turn are "),
    (CALL + "    argument: {}\n", 3, "unknown key `argument`; did you mean `arguments`?"),
    (CALL + "    command: ls\n", 3, "if it is a parameter of the tool, put it in `arguments`"),
    (
        CALL + "    delay: 1\n",
        3,
        "unknown key `delay` of a call, whose keys are name, arguments; it belongs to the turn",
    ),
    ("- name: shell\n", 1, "unknown key `name` of a turn; it belongs to a call, in the list `tool_calls`"),
    ("- content: a\n- content: b\n  delay: 1\n  content: c\n", 4, "the key `content` is given twice; keep one"),
    (CALL + "    arguments:\n      path: a\n      path: b\n", 5, "the key `path` is given twice; keep one"),
    ("- content: a\n- yes: a\n", 2, "a key that isn't text; the keys are content, tool_calls"),
    ("- tool_calls:\n  - name: a\n  - arguments: {}\n", 3, "a call without `name`; name its tool"),
    # Kinds of values.
    ("- content: yes\n", 1, "`content` must be text, not true or false; put it in quotes"),
    ("- content: 2024-12-05\n", 1, "`content` must be text, not a date; put it in quotes"),
    ("- content: [1]\n", 1, "`content` must be text, not a list; correct it"),
    (
        "- content: a\n  tool_calls: shell\n",
        2,
        "must be a list of calls, not text; start each call with `- name: TOOL`",
    ),
    ("- tool_calls:\n    name: shell\n", 1, "`tool_calls` must be a list of calls, not a mapping; start each call"),
    ("- content: a\n  tool_calls:\n", 2, "`tool_calls` must be a list of calls, not empty; leave it out"),
    ("- tool_calls:\n  - shell\n", 2, "a call is a mapping, not text; write `- name: TOOL`"),
    ("- tool_calls:\n  - name: 7\n", 2, "`name` must be text, the name of a tool, not a number; put it in quotes"),
    ("- content: one\n- just words\n", 2, "a turn is a mapping, not text; write `- content: TEXT`, with a space"),
    ("- content: one\n-\n", 2, "a turn is a mapping, not empty; write `- content: TEXT`"),
    ("- content: a\n  delay: soon\n", 2, "`delay` must be a number of seconds, 0 or more, not text; correct it"),
    ("- content: a\n- content: b\n  delay: -1\n", 3, "`delay` must be a number of seconds, 0 or more; correct it"),
    ("- content: a\n  delay: .inf\n", 2, "`delay` must be a number of seconds, 0 or more; write it as 2.5"),
    ("- content: a\n  input_tokens: 1.5\n", 2, "must be a whole number, 0 or more, not a decimal number; correct it"),
    (
        f"- content: a\n  output_tokens: {'9' * 30}\n",
        2,
        "`output_tokens` must be a whole number, 0 or more; correct it",
    ),
    ("- content: one\n\n- content: a\n  expect: '('\n", 4, "`expect` is not a regular expression: missing ), unterm"),
    ("- content: a\n  expect: 5\n", 2, "`expect` must be text, a regular expression, not a number; put it in quotes"),
    (CALL + "    arguments: &a\n      b: *a\n", 3, "arguments that JSON can't represent"),
    # The list.
    ("", 1, "the script has no turns; write at least one, such as `- content: The job is complete.`"),
    ("# only\n", 1, "the script has no turns"),
    ("turns: []\n", 1, "the script has no turns"),
    ("words\n", 1, "a script is a list of turns, not text; write at least one"),
    ("content: one\n", 1, "a script is a list of turns; start each turn with `- `, as in"),
    ("-content: one\n", 1, "a script is a list of turns; put a space after `-`, as in"),
    ("\nturn:\n- content: one\n", 2, "unknown key `turn`; did you mean `turns`?"),
    ("a: 1\nb: 2\n", 1, "a script is a list of turns, not a mapping; write at least one"),
    ("turns:\n- content: one\nturn: []\n", 3, "unknown key `turn`; the only key is `turns`"),
]
WRONG_YAML = [
    (
        "- content: one\n\tdelay: 1\n",
        2,
        r"found character '\t' that cannot start any token; indent with spaces, not tabs",
    ),
    ("- content: a\n- content: @b\n", 2, "put a text that starts with this character in quotes"),
    ("- content: To do: all\n", 1, "mapping values are not allowed here; put a text that contains `: ` in quotes"),
    ("- content: *bold*\n", 1, "put a text that starts with `*`, `&` or `!` in quotes"),
    ("- content: !!python/name:os.system x\n", 1, "put a text that starts with `*`, `&` or `!` in quotes"),
    ("- content: 'open\n", 2, "found unexpected end of stream; close the quotes"),
    ("- content: a\n delay: 1\n", 2, "align the keys of a turn and the `-` of all turns"),
    (CALL + "    arguments: {path: a\n", 4, "close the bracket, or put the text in quotes"),
    ("- content: |\n    a\nb\n", 4, "could not find expected ':'; write KEY: VALUE, with a space after the colon"),
    ('- content: "a\\d"\n', 1, "found unknown escape character 'd'; use single quotes, or write each backslash twice"),
    (
        "- content: a\n---\n- content: b\n",
        2,
        "expected a single document in the stream but found another document; remove",
    ),
    (
        "- content: one\n- content: \x00\n",
        2,
        "special characters are not allowed; write a control character as an escape",
    ),
    ("- content: 2024-13-45\n", 1, "month must be in 1..12; put the text in quotes"),
    ("- ? [a]\n  : b\n", 1, "found unhashable key; fix the YAML"),
    ("[" * 1000, 1, "nested too deeply; use fewer levels"),
]


@pytest.mark.parametrize(("text", "line", "reason"), [*WRONG_TURNS, *WRONG_YAML])
def test_an_error_names_the_file_the_line_and_the_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_turns(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message
    assert "; " in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            '[\n{"content": "a"},\n{"content": "b",}\n]',
            3,
            "put keys in double quotes, and no comma after the last entry",
        ),
        ("[\n{'content': 'a'}]", 2, "put keys in double quotes"),
        ("- content: a\n", 1, "Expecting value; fix the JSON, or name the file .yaml if it is YAML"),
        ('[{"content": "a",\n\t"content": "b"}]', 2, "the key `content` is given twice; keep one"),
        ('[\n\t{"contents": "a"}]', 2, "unknown key `contents`; did you mean `content`?"),
        ("[" * 100_000, 1, "nested too deeply; use fewer levels"),
    ],
)
def test_a_json_error_names_the_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = written(tmp_path, text, "turns.json")
    with pytest.raises(ConfigError) as caught:
        load_turns(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [(text, message) for text, _, message in SHOWN])
def test_the_page_has_the_message_of_each_wrong_script(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_turns(path)
    assert re.sub(r":\d+: ", ": ", str(caught.value)) == f"{path}: {message}"


def test_the_page_has_every_key() -> None:
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE))))
    assert len(SHOWN) > 20
    assert {*Turn.__struct_fields__, *ScriptedCall.__struct_fields__} <= keys


def test_a_missing_script_is_an_error_with_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file or directory; use script:FILE"):
        load_turns(tmp_path / "none.yaml")
    written(tmp_path, TURNS)
    with pytest.raises(ConfigError, match=r"turn\.yml: No such .* \(did you mean \S+turns\.yaml\?\); use script:FILE"):
        load_turns(tmp_path / "turn.yml")


@pytest.mark.parametrize("name", ["/dev/zero", ".", "/proc/self/mem", "x" * 300])
def test_what_is_not_a_file_is_an_error_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"; use script:FILE with a YAML or JSON file\Z"):
        load_turns(tmp_path / name)


def test_a_binary_file_is_an_error_with_the_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"- content: one\n- content: \xff\n")
    with pytest.raises(ConfigError, match=r"binary\.yaml:2: not UTF-8; use a YAML or JSON file, saved as UTF-8"):
        load_turns(binary)


async def test_the_backend_plays_the_turns(tmp_path: Path) -> None:
    backend = open_backend(f"script:{written(tmp_path, TURNS)}")
    ask = Message(role="user", content="go")

    reply = await backend.complete(LlmRequest(messages=(ask,), tools=()))
    assert reply.content == "one"

    message = Message(role="assistant", content="one")
    with pytest.raises(LlmRefusedError, match=r"turns\.yaml: turn 2 of the script expects /\^x/"):
        await backend.complete(LlmRequest(messages=(ask, message), tools=()))
