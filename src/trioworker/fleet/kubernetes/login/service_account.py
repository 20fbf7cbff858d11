"""The service account of the pod that this process runs in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trioworker.fleet.kubernetes.login.kubeconfig_file import Cluster, User, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts the token, the certificate authority and the namespace."""


def account_of_pod(environ: Mapping[str, str], folder: Path) -> tuple[str, Cluster, User, str | None] | None:
    """Return the account's name for errors, its cluster, its login and the pod's namespace.

    None if this isn't a pod, or it has no account.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not os.path.isfile(folder / "token"):
        return None
    cluster = Cluster(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        certificate_authority=str(folder / "ca.crt"),
    )
    return "the service account of this pod", cluster, User(token_file=str(folder / "token")), _namespace(folder)


def _namespace(folder: Path) -> str | None:
    try:
        return read_file(folder / "namespace").decode(errors="replace").strip() or None
    except ValueError:
        return None
