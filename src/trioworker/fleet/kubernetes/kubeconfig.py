"""Which cluster to talk to, and as whom: from kubeconfig files, or from the pod that this process runs in."""

from __future__ import annotations

import os
import ssl
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator


class ClusterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """An API server and how to log in.

    `namespace` is that of the context or of the pod, None if neither names one. `source` is where this comes from, for
    messages.
    """

    server: str
    tls: ssl.SSLContext
    auth: httpx.Auth | None
    proxy: str | None = None
    namespace: str | None = None
    source: str = ""


class TokenAuth(httpx.Auth):
    """Logs in with a token that doesn't change."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """See `httpx.Auth`."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def find_cluster(kubeconfig: Path | None, context: str | None) -> ClusterAccess:
    """Read `kubeconfig`, or the files of KUBECONFIG, or the user's; without any, that of the pod that we run in.

    Raises:
        ConfigError: there is none, or it can't be used.
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("--engine kubernetes needs PyYAML: pip install 'trioworker[kubernetes]'") from error

    path = kubeconfig or Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser()
    try:
        config: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; set KUBECONFIG") from error
    chosen = context or config["current-context"]
    used = next(each["context"] for each in config["contexts"] if each["name"] == chosen)
    cluster = next(each["cluster"] for each in config["clusters"] if each["name"] == used["cluster"])
    user = next(each["user"] for each in config["users"] if each["name"] == used["user"])

    tls = ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        tls = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    return ClusterAccess(
        server=cluster["server"],
        tls=tls,
        auth=TokenAuth(user["token"]),
        namespace=used.get("namespace"),
        source=str(path),
    )
