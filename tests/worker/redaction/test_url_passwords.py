"""Passwords in URLs: which are hidden, and which texts are none."""

from __future__ import annotations

import pytest

from linear_time import assert_linear
from trioworker.protocol.url_passwords import hide_url_passwords
from trioworker.worker.redaction.secrets import Redactor

PASSWORD = "-".join(("correct", "horse"))
REDACTOR = Redactor()


@pytest.mark.parametrize(
    "text",
    [
        "origin\thttps://me:{}@git.example/group/project.git (fetch)",
        "postgresql+psycopg://app:{}@db:5432/app?sslmode=require",
        "HTTPS_PROXY=http://user:{}@proxy:3128",
        "redis://:{}@cache/0",
        '{{"url": "https:\\/\\/me:{}@host\\/"}}',
        "amqp://first:{}@a/ and mongodb://second:{}@b,c/",
        "cannot connect to http://me:{}@[::1]:80/",
        "(see <ftp://me:{}@host>)",
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, "p%40ss%2Fword", "p@ss:w!rd", "8080"])
def test_password_is_hidden_and_the_rest_is_kept(text: str, password: str) -> None:
    shown = text.format(password, password)
    redaction = REDACTOR.redact(shown)
    assert redaction.text == text.format("[REDACTED:url_password]", "[REDACTED:url_password]")
    assert redaction.kinds == ("url_password",)
    assert REDACTOR.redact(redaction.text).text == redaction.text
    assert hide_url_passwords(shown) == text.format("***", "***")


@pytest.mark.parametrize(
    "text",
    [
        "f'postgres://{user}:{password}@{host}/'",
        "postgres://$USER:$PASSWORD@db/",
        "https://user:$(cat password)@host/",
        "https://<user>:<password>@host/",
        "'http://%s:%s@%s/' % parts",
        "https://user:***@host/",
        "https://user@host/path:80",
        "git@github.com:group/project.git",
        "http://host:8080/mail/to:me@example.org",
        "http://a:80,b:81@",
        "see http://host:8080 or me@example.org",
        '["http://host:8080","me@example.org"]',
    ],
)
def test_text_without_a_password_is_kept(text: str) -> None:
    assert REDACTOR.redact(text).text == text
    assert hide_url_passwords(text) == text


def test_token_in_a_url_keeps_its_kind() -> None:
    token = "gh" + "p_" + "a1B2" * 10
    assert REDACTOR.redact(f"https://me:{token}@github.com/").text == "https://me:[REDACTED:github_token]@github.com/"


@pytest.mark.parametrize("piece", ["://", "://a:", "://a:b", ":b@", "a:", "\\/", ":\\/\\/a:b"])
def test_search_takes_linear_time(piece: str) -> None:
    assert_linear(lambda text: REDACTOR.redact("x://a:b@ " + text), piece)
