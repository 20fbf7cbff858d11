"""Arguments in every form that models send: coerced, under other names, empty for absent, or refused with a remedy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from trioworker.errors import InvalidParametersError
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import Parameters
from trioworker.worker.tools.registry import Registry


class Sample(Parameters, frozen=True, kw_only=True):
    text: str
    reason_code: int | None = None
    size: Annotated[int, Meta(ge=1)] | None = 7
    choice: Literal["a", "b"] | None = None
    switch: bool = False
    note: str = "default"
    items: list[str] | None = None


def parsed(tool: str, **arguments: Any) -> dict[str, Any]:
    """The arguments as the tool gets them, without those that keep their defaults."""
    parameters = parse_arguments(Registry().get(tool).parameters, arguments)
    defaults = {field.name: field.default for field in msgspec.structs.fields(type(parameters))}
    values: dict[str, Any] = msgspec.structs.asdict(parameters)
    return {name: value for name, value in values.items() if value != defaults[name]}


def refusal(tool: str, **arguments: Any) -> str:
    with pytest.raises(InvalidParametersError) as caught:
        parse_arguments(Registry().get(tool).parameters, arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tool", "given", "meant"),
    [
        ("shell", {"cmd": "ls", "cwd": "src"}, {"command": "ls", "workdir": "src"}),
        ("shell", {"script": "ls", "working_directory": "a"}, {"command": "ls", "workdir": "a"}),
        ("shell", {"CommandLine": "ls", "Cwd": "a"}, {"command": "ls", "workdir": "a"}),
        ("shell", {"command": "ls", "directory": "a"}, {"command": "ls", "workdir": "a"}),
        ("shell", {"command": "ls", "timeout_ms": 1500}, {"command": "ls", "timeout": 1.5}),
        ("shell", {"command": ["bash", "-lc", "ls | wc"]}, {"command": "ls | wc"}),
        ("shell", {"command": ["/bin/sh", "-c", "ls"]}, {"command": "ls"}),
        ("shell", {"cmd": ["grep", "-n", "a b", "f"]}, {"command": "grep -n 'a b' f"}),
        ("shell", {"command": "ls", "run_in_background": False}, {"command": "ls"}),
        ("shell", {"command": "ls", "requires_approval": True}, {"command": "ls"}),
        ("read_file", {"file_path": "f"}, {"path": "f"}),
        ("read_file", {"filePath": "f"}, {"path": "f"}),
        ("read_file", {"filename": "f", "start_line": 10, "end_line": "20"}, {"path": "f", "offset": 10, "limit": 11}),
        ("read_file", {"path": "f", "end_line": 5}, {"path": "f", "limit": 5}),
        ("read_file", {"path": "f", "start_line": 3, "end_line": -1}, {"path": "f", "offset": 3}),
        ("read_file", {"path": "f", "view_range": [10, 20]}, {"path": "f", "offset": 10, "limit": 11}),
        ("read_file", {"path": "f", "view_range": "[10, -1]"}, {"path": "f", "offset": 10}),
        ("read_file", {"path": "f", "lines": "10-20"}, {"path": "f", "offset": 10, "limit": 11}),
        ("read_file", {"path": "f", "lines": 3}, {"path": "f", "limit": 3}),
        ("read_file", {"command": "view", "path": "f"}, {"path": "f"}),
        ("write_file", {"file_path": "f", "file_text": "x"}, {"path": "f", "content": "x"}),
        ("write_file", {"path": "f", "contents": ""}, {"path": "f", "content": ""}),
        ("list_dir", {"directory": "src"}, {"path": "src"}),
        ("list_dir", {"dir_path": "src", "depth": 2}, {"path": "src", "recursive": True, "max_depth": 1}),
        ("list_dir", {"path": "src", "depth": 1}, {"path": "src", "recursive": False, "max_depth": 1}),
        ("glob", {"glob_pattern": "*.py", "target_directory": "src"}, {"pattern": "*.py", "path": "src"}),
        ("grep", {"query": "x", "include": "*.py"}, {"pattern": "x", "glob": "*.py"}),
        ("grep", {"regex": "x", "output_mode": "count"}, {"pattern": "x", "mode": "count"}),
        ("grep", {"pattern": "x", "-i": True}, {"pattern": "x", "ignore_case": True}),
        ("grep", {"pattern": "x", "caseSensitive": "false"}, {"pattern": "x", "ignore_case": True}),
        ("grep", {"pattern": "x", "-A": 2, "-B": "1"}, {"pattern": "x", "after": 2, "before": 1, "mode": "content"}),
        ("grep", {"pattern": "x", "-C": 2, "mode": "count"}, {"pattern": "x", "context": 2, "mode": "count"}),
        ("grep", {"pattern": "x", "context": 0, "-n": True, "head_limit": 20}, {"pattern": "x", "context": 0}),
        ("grep", {"query": "x", "isRegexp": True, "includePattern": "*.c"}, {"pattern": "x", "glob": "*.c"}),
    ],
)  # fmt: skip
def test_other_name_is_taken_as_the_parameter_that_it_means(
    tool: str, given: dict[str, Any], meant: dict[str, Any]
) -> None:
    assert parsed(tool, **given) == meant


@pytest.mark.parametrize(
    ("tool", "given", "message"),
    [
        ("shell", {"command": "ls", "foo": 1}, "foo: unknown; the parameters are command, workdir, timeout"),
        ("shell", {"foo": 1, "b\nr": 2}, "foo, 'b\\nr': unknown; the parameters are command, workdir, timeout; comm"),
        ("shell", {"command": "ls", "cmd": "rm x"}, "command, cmd: both mean command, but differ; give only command"),
        ("shell", {"command": []}, "command: expected a command line or a list of words"),
        ("shell", {"command": ["apply_patch", "*** Begin Patch"]}, "command: to change files, call the tool"),
        ("shell", {"command": "x", "is_background": True}, "is_background: to run a command in the background, end it"),
        ("shell", {"command": "x", "timeout_ms": "soon"}, "timeout_ms: expected a whole number"),
        ("shell", {"cmd": None}, "command: required but missing"),
        ("read_file", {"path": "f", "limit": 2, "end_line": 9}, "limit, end_line: both mean limit, but differ"),
        ("read_file", {"path": "f", "view_range": [1]}, "view_range: expected the first and the last line"),
        ("read_file", {"path": "f", "start_line": 9, "end_line": 3}, "end_line: must be at least the first line, 9"),
        ("write_file", {"path": "f", "content": "x", "mode": "append"}, "mode: write_file always overwrites"),
        ("grep", {"pattern": "x", "fixed_strings": True}, "fixed_strings: pattern is always a regular expression"),
        ("grep", {"pattern": "x", "output_mode": "lines"}, "mode: Invalid enum value 'lines'"),
    ],
)  # fmt: skip
def test_ambiguous_argument_is_an_error_that_says_what_is_accepted(
    tool: str, given: dict[str, Any], message: str
) -> None:
    assert refusal(tool, **given).startswith(f"invalid parameters: {message}")


def test_null_under_another_name_means_absent() -> None:
    assert parsed("shell", command="ls", cmd=None, is_background=None) == {"command": "ls"}


def test_same_value_under_two_names_is_accepted() -> None:
    assert parsed("shell", command="ls", cmd="ls") == {"command": "ls"}


@pytest.mark.parametrize("remark", ["description", "explanation", "reason", "thought"])
def test_remark_without_effect_is_dropped(remark: str) -> None:
    assert parsed("shell", command="ls", **{remark: "to see the files"}) == {"command": "ls"}


@pytest.mark.parametrize("name", ["reason_code", "size", "choice", "switch", "note", "items"])
def test_null_for_an_optional_argument_means_absent(name: str) -> None:
    assert parse_arguments(Sample, {"text": "x", name: None}) == Sample(text="x")


@pytest.mark.parametrize("name", ["reason_code", "size", "choice", "switch", "items"])
@pytest.mark.parametrize("blank", ["", " "])
def test_empty_text_where_no_text_is_expected_means_absent(name: str, blank: str) -> None:
    assert parse_arguments(Sample, {"text": "x", name: blank}) == Sample(text="x")


def test_empty_text_is_kept_where_text_is_expected() -> None:
    assert parse_arguments(Sample, {"text": "", "note": ""}) == Sample(text="", note="")


@pytest.mark.parametrize("tool", ["list_dir", "glob", "grep", "shell"])
def test_empty_folder_means_the_workspace(tool: str) -> None:
    folder = "workdir" if tool == "shell" else "path"
    other = {"shell": {"command": "x"}, "list_dir": {}}.get(tool, {"pattern": "x"})
    assert not parsed(tool, **{folder: ""}, **other).get(folder)


@pytest.mark.parametrize("arguments", [None, [], "", "null", "[]"])
def test_empty_arguments_are_an_empty_object(arguments: Any) -> None:
    with pytest.raises(InvalidParametersError, match=r"^invalid parameters: text: required but missing$"):
        parse_arguments(Sample, arguments)


@pytest.mark.parametrize("wrapper", ["arguments", "input", "parameters"])
@pytest.mark.parametrize("encoded", [False, True])
def test_arguments_inside_a_wrapper_are_unwrapped(wrapper: str, encoded: bool) -> None:
    inner: Any = {"text": "x"}
    given = {wrapper: msgspec.json.encode(inner).decode() if encoded else inner}
    assert parse_arguments(Sample, given) == Sample(text="x")


def test_numbers_booleans_and_lists_are_read_from_text() -> None:
    given = {"text": "x", "size": "3", "switch": "true", "items": '["a"]'}
    assert parse_arguments(Sample, given) == Sample(text="x", size=3, switch=True, items=["a"])


def test_backslashes_that_start_no_escape_are_literal() -> None:
    assert parse_arguments(Sample, r'{"text": "\d+\.py"}') == Sample(text=r"\d+\.py")


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(InvalidParametersError) as caught:
        parse_arguments(Sample, {"size": 0, "choice": "c", "x" * 500: 1})
    assert [problem.partition(":")[0][:4] for problem in caught.value.problems] == ["xxxx", "text", "size", "choi"]
    assert len(str(caught.value)) < 400
