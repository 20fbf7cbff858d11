"""Files that are no cassette, or not a whole one: one line says what, where and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trioworker import ConfigError
from trioworker.cassette import load_cassette

WHOLE = (Path(__file__).parents[1] / "cassettes" / "mend-a-bug.jsonl").read_bytes()
LINES = WHOLE.splitlines(keepends=True)


def of_version(version: object) -> bytes:
    return json.dumps({**json.loads(LINES[0]), "version": version}).encode() + b"\n" + b"".join(LINES[1:])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no cassette; name a file that `--record` wrote"),
        (b"\n", "is no cassette"),
        (b"hello\n", "is no cassette"),
        (b"[1, 2]\n", "is no cassette"),
        (b"\xff\xfe\x00", "is no cassette"),
        (b'{"kind":"end","status":"completed","message":"","iterations":1}\n', "is no cassette"),
        (b"".join(LINES[1:]), "is no cassette"),
        (of_version(2), "a cassette of format 2, newer than this program; use a newer trioworker"),
        (of_version("x"), "is no cassette"),
        (WHOLE[:-20], f"torn at line {len(LINES)}, its last; record the job again"),
        (b"".join(LINES[:-1]), "the recording stops before its job's end; record the job again"),
        (LINES[0], "the recording stops before its job's end"),
        (b"".join([*LINES[:3], b"{]\n", *LINES[3:]]), ":4: .*; record the job again"),
        (b"".join([LINES[0], LINES[-1], *LINES[1:-1]]), "the recording stops before its job's end"),
        (b"".join([LINES[0], *LINES[5:]]), "goes on from one that is not there; record the job again"),
    ],
)
def test_what_is_no_whole_cassette_is_told_in_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_cassette(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory; name a cassette"):
        load_cassette(tmp_path / "none.jsonl")


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Is a directory"):
        load_cassette(tmp_path)


def test_a_field_of_a_later_program_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    path.write_bytes(WHOLE.replace(b'"kind":', b'"mood":"fine","kind":'))
    assert len(load_cassette(path).exchanges) == 5
