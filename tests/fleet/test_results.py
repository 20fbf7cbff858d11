"""The file of results: survives a crash, is locked by one fleet, and no other file is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trioworker.errors import ConfigError
from trioworker.fleet.results import Result, Results


def result(job_id: str) -> Result:
    return Result(
        job_id=job_id,
        exit_code=0,
        status="completed",
        success=True,
        message="done",
        seconds=1.5,
        attempts=1,
        engine="process",
        node="here",
    )


def test_results_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        results.add(result("a"))
        results.add(result("b"))

    with Results(path) as results:
        assert results.done == {"a": result("a"), "b": result("b")}
    assert path.stat().st_mode & 0o077 == 0


def test_incomplete_last_line_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        results.add(result("a"))
        results.add(result("b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first + 1, len(whole)):
        path.write_bytes(whole[:end])
        with Results(path) as results:
            assert list(results.done) == ["a"]
            results.add(result("b"))
        assert path.read_bytes() == whole


def test_file_without_a_worker_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        results.discard()
    assert not path.exists()


@pytest.mark.parametrize("is_rerun", [False, True])
def test_file_that_an_earlier_worker_may_need_is_kept(tmp_path: Path, is_rerun: bool) -> None:
    path = tmp_path / "results.jsonl"
    if is_rerun:
        path.touch()
    with Results(path) as results:
        if not is_rerun:
            results.add(result("a"))
        results.discard()
    assert path.exists()


def test_second_fleet_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path), pytest.raises(ConfigError, match="another fleet writes to it"):
        Results(path)
    with Results(path) as results:
        assert results.done == {}


@pytest.mark.parametrize(
    "content", ["notes\n", "notes without an end", '{"job_id": 7}\n', '{"task": "x"}', '{"job_id": 7}']
)
def test_other_file_is_refused_and_unchanged(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(content)

    with pytest.raises(ConfigError, match="name a new file"):
        Results(path)

    assert path.read_text() == content


def test_byte_order_mark_and_blank_lines_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        results.add(result("a"))
        results.add(result("b"))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xef\xbb\xbf" + first + b"\n  \n" + second + b"\n  ")

    with Results(path) as results:
        assert list(results.done) == ["a", "b"]
        results.add(result("c"))
    with Results(path) as results:
        assert list(results.done) == ["a", "b", "c"]


@pytest.mark.parametrize("line", ["{}", '{"a": ' * 100_000])
def test_bad_line_is_an_error_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(f"\n\n{line}\n")
    with pytest.raises(ConfigError, match=f"^{path}:3: not a result of a fleet"):
        Results(path)


def test_results_are_not_written_to_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(ConfigError, match="not a regular file, so a rerun couldn't read it; name a file"):
            Results(Path(f"/dev/fd/{writer}"))
    finally:
        os.close(reader)
        os.close(writer)
