"""The job's own secrets, which are found by their values, including single lines and escaped forms."""

from __future__ import annotations

import msgspec
import pytest

from trioworker.worker.redaction.secrets import Redactor
from worker.redaction.secret_samples import DASHES, MIXED

CREDENTIAL = 'swordfish "7" and\ncrab'
MARK = "[REDACTED:granted_credential]"
LINES = ["{", f'  "key": "{MIXED[:30]}",', f'  "id": "{MIXED[30:50]}"', "  short", "}"]


def escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def test_credentials_are_redacted_plain_and_escaped() -> None:
    redactor = Redactor(credentials=[CREDENTIAL + "\n", "pässword"])
    assert redactor.redact(f"[{CREDENTIAL}]").text == f"[{MARK}]"
    text = f"{CREDENTIAL} pässword"
    assert redactor.redact(escaped(text)).text == f"{MARK} {MARK}"
    assert redactor.redact(escaped(escaped(text))).text == f"{MARK} {MARK}"


@pytest.mark.parametrize("prefix", ["{}\t", "     {}\t", "config/key.json:{}:", "\t\t", "> "])
@pytest.mark.parametrize("escapes", [0, 1, 2])
def test_credential_of_several_lines_is_redacted_line_by_line(prefix: str, escapes: int) -> None:
    redactor = Redactor(credentials=["\n".join(LINES)])
    text = "\n".join(prefix.format(number) + line for number, line in enumerate(LINES, 1))
    for _ in range(escapes):
        text = escaped(text)
    shown = redactor.redact(text).text
    assert shown.count(MARK) == 2
    assert MIXED[:30] not in shown
    assert MIXED[30:50] not in shown
    assert "short" in shown


def test_single_line_of_a_credential_is_redacted() -> None:
    redactor = Redactor(credentials=["\r\n".join(LINES)])
    assert redactor.redact(f"key.json:2:{LINES[1]}").text == f"key.json:2:  {MARK}"


def test_first_and_last_line_of_a_granted_key_are_not_secret() -> None:
    begin, end = (f"{DASHES}{word} CERTIFICATE{DASHES}" for word in ("BEGIN", "END"))
    redactor = Redactor(credentials=[f"{begin}\n{MIXED[:64]}\n{end}"])
    assert redactor.redact(f"looks for {begin}").text == f"looks for {begin}"
    assert redactor.redact(f"2\t{MIXED[:64]}").text == f"2\t{MARK}"
