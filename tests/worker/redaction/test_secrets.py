"""Redaction: every kind of secret, near misses, granted values, overlaps, and redacting twice."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear_time import assert_linear
from trioworker.worker.redaction.secret_kinds import KINDS, Shape
from trioworker.worker.redaction.secrets import Redaction, Redactor
from worker.redaction.secret_samples import DASHES, HEX, MIXED, NEAR_MISSES, SAMPLES

REDACTOR = Redactor()
REDACTED = "REDACTED"


def redacted(text: str) -> str:
    return REDACTOR.redact(text).text


def test_every_kind_has_a_sample() -> None:
    # A password in a URL is one only there: `test_url_passwords.py`.
    assert {name for name, _ in SAMPLES} | {"url_password"} == {kind.name for kind in KINDS if not kind.warn_only}


@pytest.mark.parametrize(
    ("kind", "secret"), SAMPLES, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(SAMPLES)]
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("key = '", "'\n"),
        ("é\u65e5 ", " ü"),
        ('{"content": "first\\n', '\\nlast"}'),
        ("\x1b[1m ", "\x1b[0m"),
        ("(", ")"),
    ],
)
def test_secret_is_redacted_and_the_rest_stays(kind: str, secret: str, before: str, after: str) -> None:
    redaction = REDACTOR.redact(f"{before}{secret}{after}")
    assert redaction.text == f"{before}[REDACTED:{kind}]{after}"
    assert kind in redaction.kinds


@pytest.mark.parametrize("text", NEAR_MISSES, ids=range(len(NEAR_MISSES)))
def test_near_miss_is_not_redacted(text: str) -> None:
    assert REDACTOR.redact(f"x = {text}\n") == Redaction(f"x = {text}\n")


def test_key_that_follows_a_word_is_redacted() -> None:
    assert redacted("task-" + MIXED[:30]) == "ta[REDACTED:openai_api_key]"


def test_short_prefix_does_not_hide_a_longer_key() -> None:
    # The general shape of `sk-` matches only a part of the key.
    key = "sk-" + "ant-api03-" + MIXED[:95]
    assert redacted(f"{key} {key}") == "[REDACTED:anthropic_api_key] [REDACTED:anthropic_api_key]"
    assert redacted("task-" + "sk-" + "a" * 20) == "task-[REDACTED:openai_api_key]"
    assert redacted("sk-" + "x.y") == "sk-" + "x.y"


def test_overlapping_secrets_become_one_named_after_the_first() -> None:
    header = "Author" + "ization: Bea" + "rer sk-" + MIXED[:40]
    redaction = REDACTOR.redact(f"-H '{header}' next")
    assert redaction.text == "-H '[REDACTED:auth_header]' next"
    assert redaction.kinds == ("auth_header", "bearer_token", "openai_api_key")


@pytest.mark.parametrize("digest", [HEX[:64], HEX[:64].upper()])
def test_64_hex_digits_cause_a_warning_only(digest: str) -> None:
    text = f"{digest}  dist/package.whl\n"
    for shown in (text, msgspec.json.encode("\n" + text).decode()):
        assert REDACTOR.redact(shown) == Redaction(shown, (), ("high_entropy_hex",))


@pytest.mark.parametrize("text", [HEX[:63], HEX[:65], f"x{HEX[:64]}", f"{HEX[:64]}_", f"{HEX[:63]}g"])
def test_hex_digits_of_another_length_cause_no_warning(text: str) -> None:
    assert REDACTOR.redact(text) == Redaction(text)


def test_redacted_token_causes_no_warning() -> None:
    redaction = Redactor(token=HEX[:64]).redact(f"token={HEX[:64]};")
    assert redaction == Redaction("token=[REDACTED:worker_token];", ("worker_token",))


def test_warning_is_given_beside_a_secret() -> None:
    redaction = Redactor(token=HEX[:64]).redact(f"{HEX[:64]} {HEX[1:65]}")
    assert redaction == Redaction(f"[REDACTED:worker_token] {HEX[1:65]}", ("worker_token",), ("high_entropy_hex",))


def test_credential_shorter_than_six_characters_is_not_redacted() -> None:
    assert Redactor(credentials=["admin", "      "]).redact("admin      admin").text == "admin      admin"
    assert Redactor(credentials=["admin1"]).redact("admin1").text == "[REDACTED:granted_credential]"


def test_empty_token_and_credential_match_nothing() -> None:
    assert Redactor(token="", credentials=[""]).redact("text").text == "text"


def test_credential_that_is_the_prefix_of_another_does_not_hide_it() -> None:
    redactor = Redactor(credentials=["hunter22", "hunter22-and-more"])
    assert (
        redactor.redact("hunter22-and-more hunter22").text
        == "[REDACTED:granted_credential] [REDACTED:granted_credential]"
    )


def test_granted_value_names_a_match_that_a_shape_also_finds() -> None:
    key = "gh" + "p_" + MIXED[:36]
    assert Redactor(credentials=[key]).redact(key).text == "[REDACTED:granted_credential]"


def test_lone_surrogate_is_kept() -> None:
    assert redacted("\ud800 sk-" + MIXED[:30]) == "\ud800 [REDACTED:openai_api_key]"


def test_credential_with_a_lone_surrogate_is_redacted() -> None:
    assert Redactor(credentials=["bad\udc80value"]).redact("a bad\udc80value").text == "a [REDACTED:granted_credential]"


def test_text_after_a_marker_is_not_redacted_again() -> None:
    glued = "hunter22" + "sk-" + "a" * 20
    redactor = Redactor(credentials=["hunter22"])
    once = redactor.redact(glued)
    assert once.text == "[REDACTED:granted_credential]" + "sk-" + "a" * 20
    assert redactor.redact(once.text).text == once.text


PARTS = [
    *(secret for _, secret in SAMPLES),
    *(secret[: len(secret) // 2] for _, secret in SAMPLES),
    *NEAR_MISSES,
    *(
        "REDACTED",
        "[REDACTED:openai_api_key]",
        "[REDACTED:",
        "openai_api_key]",
        "swordfish",
        "A1B2",
        "x",
        " ",
        "\n",
        ".",
        "-",
        "]",
    ),
]


PIECES = [
    "sk-",
    MIXED[:30],
    "a" * 25,
    "ey" + "Ja",
    ".",
    "-",
    "_",
    "]",
    " ",
    "\\n",
    "A" + "KIA",
    "A" * 16,
    "Z9",
    "xo" + "xb-",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_hide_replaces_what_find_finds(text: str) -> None:
    data = text.encode()
    for kind in KINDS:
        if isinstance(kind.shape, Shape):
            replaced, position = b"", 0
            for start, end in kind.shape.find(data):
                replaced += data[position:start] + b"*"
                position = end
            assert kind.shape.hide(data, b"*") == replaced + data[position:]


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_second_redaction_changes_nothing(parts: list[str]) -> None:
    redactor = Redactor(token=REDACTED, credentials=["swordfish", "openai_api_key", "key] x", "] [RED"])
    once = redactor.redact("".join(parts))
    twice = redactor.redact(once.text)
    assert twice.text == once.text


@given(st.lists(st.sampled_from(PARTS), max_size=6), st.sampled_from(SAMPLES))
def test_secret_is_redacted_in_any_context(parts: list[str], sample: tuple[str, str]) -> None:
    text = "\n".join([*parts, sample[1], *parts])
    assert sample[1] not in redacted(text)


def test_all_kinds_are_redacted_in_one_long_text() -> None:
    filler = "".join(f"{near}\n" for near in NEAR_MISSES) * 100
    redaction = REDACTOR.redact("".join(f"{filler}{secret}\n" for _, secret in SAMPLES) + filler)
    assert set(redaction.kinds) >= {kind for kind, _ in SAMPLES}
    assert not [secret for _, secret in SAMPLES if secret in redaction.text]


UNITS = [
    "eyJ",
    "eyJ ",
    ".eyJ",
    "eyJa.eyJb!",
    "sk-",
    "sk-ant-api",
    "sk- ",
    "ask-",
    "AK" + "IA",
    "AIza-",
    "SK0",
    "SG.",
    "xoxb-",
    ":AA",
    "12345678:AA",
    "authorization: ",
    "authorization: x ",
    "Bearer ",
    "Bearer" + " " * 1000,
    f"{DASHES}BEGIN PRIVATE KEY{DASHES}",
    f"{DASHES}END PRIVATE KEY{DASHES}",
    "PRIVATE KEY" + DASHES,
    f"{DASHES}BEGIN PRIVATE KEY{DASHES}\n",
    f"\n{DASHES}END PRIVATE KEY{DASHES}",
    f"A\n{DASHES}END PRIVATE KEY{DASHES}",
    "A" * 64 + f"\\n{DASHES}END PRIVATE KEY{DASHES}",
    "\\",
    "[REDACTED:openai_api_key]swordfish",
    "swordfish",
    HEX[:64] + " ",
    HEX,
    "-",
    " ",
]


@pytest.mark.parametrize("unit", UNITS, ids=range(len(UNITS)))
def test_redaction_takes_linear_time(unit: str) -> None:
    redactor = Redactor(credentials=["swordfish", "aaaaaa"])
    assert_linear(redactor.redact, unit)
