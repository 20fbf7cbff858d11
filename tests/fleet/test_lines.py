"""Files of JSON lines: what is tolerated, and where their results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from trioworker.errors import ConfigError
from trioworker.fleet.lines import read_lines, results_path


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
    with pytest.raises(ConfigError, match=r"^/(dev|proc)/.*; name a file by --results"):
        results_path(Path(name), None)
    assert results_path(Path(name), Path("r")) == Path("r")
