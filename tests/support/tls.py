"""A certificate authority for tests, by the command `openssl`."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Issues certificates; `file` has its own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("this machine has no command openssl")
        self._folder = folder
        self.file = folder / "authority.pem"
        self._openssl("req", "-x509", *_KEY, "-keyout", "authority.key", "-out", self.file.name, "-subj", "/CN=Tests")

    def server(self, name: str = "localhost", *, days: int = 2) -> ssl.SSLContext:
        """The settings of a server with a certificate for one name; it has expired if `days` is negative."""
        self._openssl(
            "req", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", self.file.name, "-CAkey", "authority.key", "-days", str(days),
            "-copy_extensions", "copy", "-out", "server.pem",
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
        return context

    def directory(self) -> Path:
        """A directory with the authority's certificate, as OpenSSL expects it."""
        hashed = self._openssl("x509", "-in", self.file.name, "-noout", "-hash").strip()
        folder = self._folder / "directory"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.file, folder / f"{hashed}.0")
        return folder

    def _openssl(self, *arguments: str) -> str:
        return subprocess.run(
            ["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=True, timeout=60
        ).stdout
