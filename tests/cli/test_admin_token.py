"""The secret of an orchestrator, from a file or a variable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE, admin_token
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef+/=="


def test_the_variable_is_read_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, TOKEN)
    assert admin_token("--admin-token-file", None) == TOKEN
    assert ADMIN_TOKEN_VARIABLE not in os.environ


def test_the_file_takes_precedence_and_the_variable_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, "another-0123456789")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert admin_token("--admin-token-file", tmp_path / "token") == TOKEN
    assert ADMIN_TOKEN_VARIABLE not in os.environ


def test_without_either_there_is_none() -> None:
    assert admin_token("--admin-token-file", None) is None


@pytest.mark.parametrize("text", ["", "too-short", "with a space and more", "\u00e9" * 20, "=" * 20])
def test_an_invalid_secret_is_refused_without_quoting_it(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("secret")
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="the secret must have at least 16 characters") as refused:
        admin_token("--admin-token-file", tmp_path / "token")
    assert not text or text not in str(refused.value)


def test_a_missing_file_is_named() -> None:
    from pathlib import Path

    with pytest.raises(ConfigError, match="--admin-token-file /no/such: No such file"):
        admin_token("--admin-token-file", Path("/no/such"))
