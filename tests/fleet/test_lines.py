"""Files of JSON lines: what is tolerated, and where their results go."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from trioworker.errors import ConfigError
from trioworker.fleet.lines import convert, read_lines, results_path


class Named(msgspec.Struct):
    token: str
    title: str | None = None


def test_byte_order_mark_and_blank_lines_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b'\xef\xbb\xbf\r\n{"a": 1}\r\n  \n\n{"b": 2}')
    assert list(read_lines(path)) == [(2, {"a": 1}), (5, {"b": 2})]


@pytest.mark.parametrize("bad", ["{", "[]", "7", "\xff"])
def test_line_that_is_no_object_is_an_error_with_its_number(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b"{}\n\n" + bad.encode("latin-1") + b"\n")
    with pytest.raises(ConfigError, match=f"^{path}:3: "):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe{\0}\0", "not UTF-8; save the file as UTF-8"),
        (b'{"a": "\xff"}', "not UTF-8; save the file as UTF-8"),
        (b"{", "Input data was truncated; write one JSON object per line"),
        (b'{"a": ' * 100_000, "nested too deeply; use fewer levels"),
        (b"[{}]", "Expected `object`, got `array`; write one JSON object per line"),
    ],
)
def test_error_of_a_line_has_a_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        list(read_lines(path))
    assert str(caught.value) == f"{path}:1: {message}"


def test_unknown_field_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^unknown field `titel\\x1b`; the fields are token, title$"):
        convert({"token": "x", "titel\x1b": "x"}, Named)


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_folder_is_an_error(name: str) -> None:
    results_path(Path(name), None)
    with pytest.raises(ConfigError, match=f"^{re.escape(name)}: Is a directory"):
        list(read_lines(Path(name)))


def test_results_never_go_to_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "tasks"
    path.touch()
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="the file of jobs or tasks itself; name another file"):
        results_path(path, tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("tasks.jsonl", "tasks.results.jsonl"),
        ("batch.1", "batch.1.results.jsonl"),
        ("batch.2", "batch.2.results.jsonl"),
        ("tasks", "tasks.results.jsonl"),
        (".jsonl", ".jsonl.results.jsonl"),
    ],
)
def test_results_are_beside_the_file_under_its_name(name: str, results: str) -> None:
    assert results_path(Path("folder") / name, None) == Path("folder") / results


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"])
def test_descriptor_needs_a_name_for_its_results(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^/(dev|proc)/.*; name one with --results"):
        results_path(Path(name), None)
    assert results_path(Path(name), Path("r")) == Path("r")
