"""Finds the cluster and the user, in kubeconfig files or in the pod that this process runs in.

The rules are those of kubectl, with one exception: without a current context, there is no default server.
"""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.login.cluster_access import ClusterAccess
from trioworker.fleet.kubernetes.login.credentials import LoginError
from trioworker.fleet.kubernetes.login.exec_plugin import PluginLogin
from trioworker.fleet.kubernetes.login.kubeconfig_file import (
    Cluster,
    Entry,
    User,
    config_error,
    read_file,
    read_kubeconfig,
    usual_files,
)
from trioworker.fleet.kubernetes.login.proxies import environment_proxy
from trioworker.fleet.kubernetes.login.service_account import SERVICE_ACCOUNT, account_of_pod
from trioworker.fleet.kubernetes.login.tls import check_host, cluster_context, decode_base64
from trioworker.fleet.kubernetes.login.user_login import UserLogin
from trioworker.protocol.values import http_url

if TYPE_CHECKING:
    import ssl

    from trioworker.fleet.kubernetes.login.credentials import LoginSource
    from trioworker.fleet.kubernetes.login.kubeconfig_file import Context, Kubeconfig

MAX_NAMES = 20
"""Maximum number of names that an error lists."""
EXEC_EXTENSION = "client.authentication.k8s.io/exec"
"""The cluster's extension that is passed to plugins."""


def find_cluster(
    kubeconfig: Path | None, context: str | None, service_account: Path = SERVICE_ACCOUNT
) -> ClusterAccess:
    """Read `kubeconfig`, the files in KUBECONFIG, or the user's file; without any, use the pod that we run in.

    Args:
        kubeconfig: the only file to read.
        context: the context to use instead of the current one.
        service_account: the folder of the pod's service account.

    Raises:
        ConfigError: there is no cluster, or it can't be used as configured.
    """
    files = usual_files(os.environ) if kubeconfig is None else [kubeconfig]
    config = read_kubeconfig(files, required=kubeconfig is not None)
    if not config.is_empty:
        place, chosen = _choose_context(config, context)
        return _access(config, place, chosen)
    pod = account_of_pod(os.environ, service_account) if kubeconfig is None else None
    if pod is None:
        problem = "no cluster is configured" if config.files else "there is no kubeconfig"
        raise config_error(
            ", ".join(map(str, files)) or "the home folder", f"{problem}; name one with --kubeconfig or KUBECONFIG"
        )
    name, cluster, user, namespace = pod
    if context is not None:
        raise ConfigError(f"--context {context!r}: there is no kubeconfig, only {name}; omit the option")
    return _use(Entry(name, cluster), Entry(name, user), namespace, source=name)


def _choose_context(config: Kubeconfig, context: str | None) -> tuple[str, Context]:
    names = list(config.contexts)
    known = ", ".join(repr(name[:100]) for name in names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    remedy = f"choose one with --context: {known}" if names else "add a context"
    name = context or config.current_context
    if not name:
        raise config_error(config.place, f"current-context is not set; {remedy}")
    entry = config.contexts.get(name)
    if entry is None:
        source = "--context" if context else "current-context"
        raise config_error(config.place, f"{source}: there is no context {name[:100]!r}; {remedy}")
    return entry.place, entry.value


def _access(config: Kubeconfig, place: str, context: Context) -> ClusterAccess:
    if not context.cluster:
        raise config_error(place, "cluster is missing; add the name of one")
    cluster = config.clusters.get(context.cluster)
    if cluster is None:
        raise config_error(place, f"there is no cluster {context.cluster[:100]!r} in {config.place}; add it")
    user = config.users.get(context.user) if context.user else Entry(place, User())
    if user is None:
        raise config_error(place, f"there is no user {context.user!r:.100} in {config.place}; add it, or log in again")
    return _use(cluster, user, context.namespace, source=config.place)


def _use(cluster: Entry[Cluster], user: Entry[User], namespace: str | None, *, source: str) -> ClusterAccess:
    server = _server(cluster)
    authority = _authority(cluster)
    access = ClusterAccess(
        server=server,
        tls=_tls(cluster, server, authority),
        # As in kubectl: no secret is sent in clear text.
        login=_login(cluster, user, server, authority) if server.startswith("https:") else None,
        proxy=cluster.value.proxy_url or environment_proxy(server),
        impersonation=_impersonation(user),
        namespace=namespace or None,
        source=source,
    )
    _check_proxy(access, f"{cluster.place}: proxy-url" if cluster.value.proxy_url else "HTTPS_PROXY or HTTP_PROXY")
    return access


def _server(cluster: Entry[Cluster]) -> str:
    server = cluster.value.server
    if not server:
        raise config_error(cluster.place, "server is missing; add the URL of the API server")
    if "://" not in server:
        is_secure = (
            cluster.value.certificate_authority
            or cluster.value.certificate_authority_data
            or cluster.value.insecure_skip_tls_verify
        )
        server = f"{'https' if is_secure else 'http'}://{server}"
    try:
        httpx.URL(http_url(server))
    except (ValueError, httpx.InvalidURL) as error:
        raise config_error(
            cluster.place,
            "server is not an http:// or https:// URL with a host and without a user or query; correct it",
        ) from error
    return server


def _authority(cluster: Entry[Cluster]) -> bytes | None:
    data, path = cluster.value.certificate_authority_data, cluster.value.certificate_authority
    if not data and not path:
        return None
    if cluster.value.insecure_skip_tls_verify:
        raise config_error(
            cluster.place, "certificate-authority and insecure-skip-tls-verify exclude each other; remove one"
        )
    try:
        return decode_base64(data) if data else read_file(Path(path or ""))
    except ValueError as error:
        field = "certificate-authority-data" if data else f"certificate-authority {path}"
        raise config_error(cluster.place, f"{field}: {error}; replace it") from error


def _tls(cluster: Entry[Cluster], server: str, authority: bytes | None) -> ssl.SSLContext:
    verify, name = not cluster.value.insecure_skip_tls_verify, cluster.value.tls_server_name or None
    try:
        tls = cluster_context(authority, verify=verify, server_name=name, environ=os.environ)
    except ValueError as error:
        problem = str(error) if authority is None else f"certificate-authority: {error}; replace it"
        raise config_error(cluster.place, problem) from error
    try:
        check_host(tls, httpx.URL(server).raw_host.decode("ascii"))
    except ValueError as error:
        field = "tls-server-name" if name else "server"
        raise config_error(cluster.place, f"{field}: {error}; correct it") from error
    return tls


def _login(cluster: Entry[Cluster], user: Entry[User], server: str, authority: bytes | None) -> LoginSource | None:
    value = user.value
    if (value.username or value.password) and (value.token or value.token_file):
        raise config_error(user.place, "has a token and a password; remove one")
    login = UserLogin(user.place, value)
    try:
        found = login.read()
    except LoginError as error:
        raise ConfigError(str(error)) from error
    if found.authorization is not None or found.certificate is not None:
        return login
    if value.auth_provider is not None:
        raise config_error(
            user.place,
            f"auth-provider {value.auth_provider.name or ''!r:.100} was removed from Kubernetes; "
            "replace it with an exec plugin with your provider's tool",
        )
    if value.exec is not None:
        return PluginLogin(user.place, value.exec, _cluster_info(cluster.value, server, authority), os.environ)
    return None


def _cluster_info(cluster: Cluster, server: str, authority: bytes | None) -> dict[str, Any]:
    """Return what a plugin gets to know about the cluster: `Cluster` of `client.authentication.k8s.io`."""
    extensions = {each.name: each.extension for each in cluster.extensions or ()}
    info = {
        "server": server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": None if authority is None else b64encode(authority).decode(),
        "proxy-url": cluster.proxy_url,
        "config": extensions.get(EXEC_EXTENSION),
    }
    return {name: value for name, value in info.items() if value is not None}


def _impersonation(user: Entry[User]) -> tuple[tuple[str, str], ...]:
    value = user.value
    headers = [("Impersonate-User", value.as_user or ""), ("Impersonate-Uid", value.as_uid or "")]
    headers += [("Impersonate-Group", group) for group in value.as_groups or ()]
    if value.as_user_extra:
        raise config_error(user.place, "as-user-extra is not supported; remove it")
    used = tuple((name, text) for name, text in headers if text)
    if not all(text.isascii() and text.isprintable() for _, text in used):
        raise config_error(user.place, "as, as-uid or as-groups is not printable ASCII; correct it")
    return used


def _check_proxy(access: ClusterAccess, place: str) -> None:
    try:
        access.transport()
    except ImportError as error:
        raise config_error(place, "a SOCKS proxy needs a package; pip install 'httpx[socks]'") from error
    except (ValueError, httpx.InvalidURL) as error:
        # The URL isn't quoted: it may contain a password.
        raise config_error(
            place, "not a usable proxy; use http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
        ) from error
