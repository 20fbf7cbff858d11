"""Unusable cassettes: the error is one line with the file, the defect and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trioworker import ConfigError
from trioworker.cassette import load_cassette

WHOLE = (Path(__file__).parents[1] / "cassettes" / "fix-a-bug.jsonl").read_bytes()
LINES = WHOLE.splitlines(keepends=True)


def of_version(version: object) -> bytes:
    return json.dumps({**json.loads(LINES[0]), "version": version}).encode() + b"\n" + b"".join(LINES[1:])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not a cassette; name a file that `--record` wrote"),
        (b"\n", "is not a cassette"),
        (b"hello\n", "is not a cassette"),
        (b"[1, 2]\n", "is not a cassette"),
        (b"\xff\xfe\x00", "is not a cassette"),
        (b'{"kind":"end","status":"completed","message":"","iterations":1}\n', "is not a cassette"),
        (b"".join(LINES[1:]), "is not a cassette"),
        (of_version(2), "a cassette of format 2, newer than this program; use a newer trioworker"),
        (of_version("x"), "is not a cassette"),
        (LINES[0].replace(b'"http://', b'"gopher://') + b"".join(LINES[1:]), "orchestrator_url: .* is not an http://"),
        (WHOLE[:-20], f"the last line, {len(LINES)}, is incomplete; record the job again"),
        (b"".join(LINES[:-1]), "the recording stops before its job's end; record the job again"),
        (LINES[0], "the recording stops before its job's end"),
        (b"".join([*LINES[:3], b"{]\n", *LINES[3:]]), ":4: .*; record the job again"),
        (b"".join([LINES[0], LINES[-1], *LINES[1:-1]]), "the recording stops before its job's end"),
        (b"".join([LINES[0], *LINES[5:]]), "continues one that is missing; record the job again"),
    ],
)
def test_unusable_cassette_is_a_one_line_error_with_the_remedy(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_cassette(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory; name a cassette"):
        load_cassette(tmp_path / "none.jsonl")


def test_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Is a directory"):
        load_cassette(tmp_path)


def test_unknown_field_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    path.write_bytes(WHOLE.replace(b'"kind":', b'"mood":"fine","kind":'))
    assert len(load_cassette(path).exchanges) == 5
