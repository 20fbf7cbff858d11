"""The fast finders agree with a plain implementation of each shape, on any text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from trioworker.worker.redaction.secret_kinds import KINDS
from worker.redaction.secret_samples import HEX, MIXED, SAMPLES

Spans = list[tuple[int, int]]
Plain = Callable[[str], Iterable[tuple[int, int]]]
FINDERS = {kind.name: kind.find for kind in KINDS}
BREAKS = ("\\n", "\\r", "\\t")

PARTS = [
    *(secret for _, secret in SAMPLES),
    *(
        "sk-",
        "sk",
        "ask-",
        "-sk-",
        "_sk-",
        "sk-" + "a" * 20,
        "sk-" + "A1" * 10,
        "a" * 20,
        "A1b",
        "-",
        "_",
        "]",
        "\\n",
        "\\t",
    ),
    *("eyJ", "ey", "J", ".", ".eyJ", "eyJa", "eyJa.eyJb", "eyJa.eyJb.c", MIXED[:31], MIXED[:32], "eyJ" * 12),
    *("12345678", "123456789", "1", ":AA", MIXED[:29], MIXED[:30]),
    *(HEX[:64], HEX[:63], "f", "F", "g", "n", "\\", " ", "é", "\n"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
def test_finder_agrees_with_the_plain_reading_of_its_shape(text: str) -> None:
    data = text.encode()
    expected: dict[str, Plain] = {
        "openai_api_key": _openai_keys,
        "json_web_token": _json_web_tokens,
        "telegram_bot_token": _telegram_tokens,
        "high_entropy_hex": _lone_digests,
    }
    for name, plain in expected.items():
        # Latin-1 keeps an index of text an index of bytes.
        assert _united(FINDERS[name](data)) == _united(plain(data.decode("latin-1"))), name


def _united(spans: Iterable[tuple[int, int]]) -> Spans:
    united: Spans = []
    for start, end in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _openai_keys(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer("sk-[A-Za-z0-9_-]{20,}", text):
        start, end = match.span()
        body = text[start + 3 : end]
        mixed = all(re.search(letters, body) for letters in ("[a-z]", "[A-Z]", "[0-9]"))
        if (text[start - 1 : start] != "]" and not _follows_word(text, start)) or mixed:
            yield start, end
        elif inner := re.compile("(?<=[_-])sk-[A-Za-z0-9_-]{20}").search(text, start, end):
            yield inner.start(), end


def _json_web_tokens(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r"eyJ[A-Za-z0-9_-]++(\.eyJ[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++)?", text):
        if match[1]:
            yield match.span()


def _telegram_tokens(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r":AA[A-Za-z0-9_-]{30,}", text):
        digits = re.search("[0-9]{8,12}$", text[max(0, match.start() - 12) : match.start()])
        if digits:
            yield match.start() - len(digits[0]), match.end()


def _lone_digests(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r"(?<![0-9A-Fa-f_])[0-9A-Fa-f]{64}(?![0-9A-Za-z_])", text):
        if not _follows_word(text, match.start()):
            yield match.span()


def _follows_word(text: str, start: int) -> bool:
    return bool(re.match("[A-Za-z0-9]", text[start - 1 : start])) and text[start - 2 : start] not in BREAKS
