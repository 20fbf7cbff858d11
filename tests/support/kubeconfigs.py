"""Kubeconfig files for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.fleet.kubernetes.manifests.yaml_text import to_yaml

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECRET = "secret-of-the-user"
VARIABLES = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


def forget_clusters(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a user without a kubeconfig, on a machine that isn't a pod, and behind no proxy."""
    monkeypatch.setenv("HOME", str(home))
    for name in (*VARIABLES, *PROXIES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    # To load this machine's certificates takes 0.1 s.
    (home / "no-certificates").mkdir(parents=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(home / "no-certificates"))


def kubeconfig(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, context: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A kubeconfig with the context `c`, the cluster `k` and the user `u`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **(context or {})}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://kube.test:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
    }


def write(file: Path, config: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config if isinstance(config, str) else to_yaml([config]))
    return file


def plugin(file: Path, script: str) -> Path:
    """A credential plugin: a shell script."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def exec_user(command: Path | str, **fields: Any) -> dict[str, Any]:
    """A user who logs in by a plugin."""
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(command), "interactiveMode": "Never", **fields}}
