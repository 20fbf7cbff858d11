"""Trusted certificates from variables; `tests/worker/client/test_tls.py` uses them on connections."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest

from trioworker.protocol.certificates import VARIABLES, client_context

if TYPE_CHECKING:
    from collections.abc import Iterator

PEM = Path(certifi.where())


@pytest.mark.parametrize("environment", [{}, dict.fromkeys(VARIABLES, "")], ids=["unset", "empty"])
def test_default_is_the_certificates_of_the_web(environment: dict[str, str]) -> None:
    assert len(client_context(environment).get_ca_certs()) > 50


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_file_replaces_the_default(variable: str, tmp_path: Path) -> None:
    end = "-----END CERTIFICATE-----\n"
    (tmp_path / "one.pem").write_text(PEM.read_text().partition(end)[0] + end)
    assert len(client_context({variable: str(tmp_path / "one.pem")}).get_ca_certs()) == 1


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_directory_replaces_the_default(variable: str, tmp_path: Path) -> None:
    assert client_context({variable: str(tmp_path)}).get_ca_certs() == []


def test_directories_count_if_one_of_them_can_be_read(tmp_path: Path) -> None:
    assert client_context({"SSL_CERT_DIR": f"/nowhere:{tmp_path}"}).get_ca_certs() == []


@pytest.mark.parametrize(
    ("variable", "name", "reason"),
    [
        ("SSL_CERT_FILE", "missing", "no such file or directory"),
        ("SSL_CERT_FILE", "text", "not a file of PEM certificates"),
        ("SSL_CERT_FILE", "empty", "not a file of PEM certificates"),
        ("SSL_CERT_DIR", "missing", "no such file or directory"),
        ("SSL_CERT_DIR", "text", "not a directory"),
        ("REQUESTS_CA_BUNDLE", "missing", "no such file or directory"),
    ],
)
def test_unusable_place_is_an_error_that_names_variable_and_path(
    variable: str, name: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    with pytest.raises(
        ValueError, match=f"^{variable}: {tmp_path}/{name}: {reason}; correct the path or unset the variable$"
    ):
        client_context({variable: str(tmp_path / name)})


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    """A file without permissions; root may read every file, so its test runs as another user."""
    path = tmp_path / "secret.pem"
    path.touch(mode=0)
    user = os.geteuid()
    os.seteuid(user or 1000)
    yield path
    os.seteuid(user)


def test_unreadable_file_is_an_error(unreadable: Path) -> None:
    with pytest.raises(ValueError, match="permission denied"):
        client_context({"SSL_CERT_FILE": str(unreadable)})
