"""Blocks of private keys: whole, unclosed, and with their beginning cut off."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioworker.worker.redaction.key_blocks import key_blocks
from trioworker.worker.redaction.secrets import Redactor
from worker.redaction.secret_samples import DASHES, MIXED, key_block

REDACTOR = Redactor()
BEGIN, END = (f"{DASHES}{word} RSA PRIVATE KEY{DASHES}" for word in ("BEGIN", "END"))
BODY = [MIXED[start : start + 64] for start in range(20)]
KEY = [BEGIN, *BODY, "Qw==", END]
MARK = "[REDACTED:pem_private_key]"


def redacted(text: str) -> str:
    return REDACTOR.redact(text).text


def test_text_between_two_private_keys_is_kept() -> None:
    key = key_block("EC PRIVATE KEY")
    assert redacted(f"{key}\nbetween\n{key}") == f"{MARK}\nbetween\n{MARK}"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{number}\t{line}" for number, line in enumerate(KEY, 1)),
        "\n".join(f"a/key.pem:{number}:{line}" for number, line in enumerate(KEY, 1)),
        "\n".join("    " + line for line in KEY),
        "\\n".join(KEY),
        "\\\\n".join(KEY),
        "\\\\r\\\\n".join(KEY),
    ],
    ids=["numbered", "grep", "indented", "escaped", "escaped-twice", "escaped-twice-crlf"],
)
def test_key_is_redacted_however_its_lines_are_shown(text: str) -> None:
    shown = redacted(f"before\n{text}\nafter")
    assert shown.startswith("before\n")
    assert shown.endswith(f"{MARK}\nafter")
    assert not [line for line in BODY if line in shown]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n", "\\\\n"])
def test_unclosed_pem_block_hides_100_lines(line_break: str) -> None:
    lines = [BEGIN, *(f"line {number}" for number in range(2, 202))]
    shown = redacted(line_break.join(lines))
    assert shown.startswith(MARK)
    assert "line 100" not in shown
    assert "line 101" in shown
    assert "line 201" in shown


def test_unclosed_block_shorter_than_100_lines_extends_to_the_end_of_the_text() -> None:
    assert redacted("\n".join(["first", *KEY[:-1]])) == f"first\n{MARK}"


def test_unclosed_pgp_block_extends_to_the_end_of_the_text() -> None:
    begin = key_block("PGP PRIVATE KEY BLOCK").partition("\n")[0]
    assert redacted("\n".join([begin, *["line"] * 500])) == "[REDACTED:pgp_private_key]"


def test_unclosed_block_hides_no_text_before_a_later_key() -> None:
    text = "\n".join([BEGIN, *(f"line {number}" for number in range(2, 202)), *KEY])
    shown = redacted(text)
    assert "line 150" in shown
    assert shown.endswith(f"line 201\n{MARK}")
    assert not [line for line in BODY if line in shown]


@pytest.mark.parametrize("prefix", ["", "{}\t", "  {}\t", "keys/key.pem:{}:", "key.pem-{}-", "    "])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n"])
def test_end_of_a_key_whose_beginning_is_not_shown_is_redacted(prefix: str, line_break: str) -> None:
    tail = line_break.join(prefix.format(number) + line for number, line in enumerate(KEY[5:], 6))
    shown = redacted(f"ordinary words{line_break}{tail}{line_break}after")
    assert shown == f"ordinary words{line_break}{prefix.format(6)}{MARK}{line_break}after"


def test_end_line_in_ordinary_text_hides_nothing() -> None:
    text = f"if line.startswith('{BEGIN[:16]}'):\n    found = True\nelif line == '{END}':"
    assert redacted(text) == text


def test_block_extends_from_the_cut_to_its_end() -> None:
    text = f"a\n[12 bytes of the output were dropped here]\nAB\n{END}\nb"
    assert redacted(text) == f"a\n[12 bytes of the output were dropped here]{MARK}\nb"


PIECES = [
    *("\n", "\\n", "x", "word:", "12\t", " ", "Qw==", MIXED[:39], MIXED[:64], BEGIN, END, BEGIN + "\n", "\n" + END),
    *(key_block("PRIVATE KEY"), MARK, "[12 bytes of the output were dropped here]", "\n" * 100, "line\n" * 60),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_blocks_are_in_order_hold_every_begin_and_redacting_again_finds_none(text: str) -> None:
    data = text.encode()
    spans = list(key_blocks(rb" (?:RSA )?PRIVATE KEY-----", 100)(data))
    assert all(0 <= start < end <= len(data) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    once = redacted(text)
    assert BEGIN not in once
    assert redacted(once) == once
