"""Invalid JSON from model servers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioworker.orchestrator.backends.lenient_json import read_json


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'["a\ud800b", "\ud83d\ude00"]', ["a\ufffdb", "\U0001f600"]),
        (rb'{"\udfff": 1}', {"\ufffd": 1}),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"a\tb\nc"', "a\tb\nc"),
        (b"[1" + b"0" * 5000 + b", 2]", [None, 2]),
        (b"1" + b"0" * 30, 10**30),
        (rb'{"pattern": "\d+\.py\*|\bx\\b\"\n"}', {"pattern": '\\d+\\.py\\*|\\bx\\b"\n'}),
        (rb'["\u00e9", "C:\users", "\b"]', ["\xe9", r"C:\users", r"\b"]),
        (rb'["\b"]', ["\b"]),
        (b"[1e999, 1]", [float("inf"), 1]),
    ],
)
def test_odd_json_is_read_into_values_that_can_be_encoded(data: bytes, value: Any) -> None:
    read = read_json(data)

    assert read == value
    msgspec.json.decode(msgspec.json.encode(read))


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"a": 1', b"[" * 100_000, b'"' + b"\\"])
def test_other_text_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(data)
