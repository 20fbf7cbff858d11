"""Credential plugins: programs that print a login, such as those of the cloud providers.

The protocol is `ExecCredential` of `client.authentication.k8s.io`, versions v1 and v1beta1.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import trio

from trioworker.fleet.kubernetes.login.credentials import Login, LoginError
from trioworker.fleet.kubernetes.login.kubeconfig_file import config_error
from trioworker.fleet.kubernetes.login.plugin_process import run_plugin
from trioworker.fleet.kubernetes.login.tls import check_certificate
from trioworker.protocol.values import bearer_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.fleet.kubernetes.login.kubeconfig_file import Exec

GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
INFO_VARIABLE = "KUBERNETES_EXEC_INFO"
RENEW_BEFORE = 10.0
"""Seconds before its expiry from which a login isn't used: it must be valid when the request arrives."""
MIN_USE = 5.0
"""Seconds for which a login is used, even if it expires earlier: otherwise each request would run the plugin."""
MAX_HINT = 300
"""Characters of a plugin's `installHint` in an error."""
_UPDATE = "update the plugin and the kubeconfig with your provider's tool"


class _Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _ExecCredential(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


class PluginLogin:
    """Logins that a plugin prints."""

    def __init__(self, place: str, config: Exec, cluster: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """Check the configuration.

        Args:
            place: where the user is defined, for errors.
            config: how to run the plugin.
            cluster: what the plugin gets to know about the cluster, if the user asks for that.
            environ: the variables that the plugin inherits.

        Raises:
            ConfigError: there is no such plugin, or it can't be used here.
        """
        version = config.api_version or ""
        if version not in VERSIONS:
            problem = f"exec.apiVersion {version!r} is not supported" if version else "exec.apiVersion is missing"
            raise config_error(place, f"{problem}, only {VERSIONS[0]} and v1beta1; {_UPDATE}")
        if not config.command:
            raise config_error(place, f"exec.command is missing; {_UPDATE}")
        if config.interactive_mode not in {None, "", "Never", "IfAvailable", "Always"}:
            raise config_error(place, "exec.interactiveMode is not Never, IfAvailable or Always; correct it")
        if config.interactive_mode == "Always":
            raise config_error(
                place, "exec.interactiveMode is Always, but a fleet can't answer questions; use another login"
            )
        self._hint = f"; {' '.join(config.install_hint.split())[:MAX_HINT]}" if config.install_hint else ""
        self._place = f"{place}: the plugin {config.command}"
        variables = {each.name: each.value or "" for each in config.env or ()}
        texts = [config.command, *(config.args or ()), *variables, *variables.values()]
        if not all(map(_is_passable, texts)) or any("=" in name for name in variables):
            raise config_error(
                place, "exec.args or exec.env has a character that can't be passed to a program; remove it"
            )
        self._check_program(place, config.command, environ)
        self._version = version
        self._command = [config.command, *(config.args or ())]
        info = _info(place, version, cluster if config.provide_cluster_info else None)
        self._environment = {**environ, **variables, INFO_VARIABLE: info}

    async def fetch(self) -> Login:
        """See `LoginSource`."""
        try:
            out = await run_plugin(self._command, self._environment)
            return self._login(out)
        except ValueError as error:
            raise LoginError(f"{self._place} {error}{self._hint}") from error

    def _check_program(self, place: str, command: str, environ: Mapping[str, str]) -> None:
        try:
            found = shutil.which(command, path=environ.get("PATH", os.defpath))
        except ValueError:
            found = None
        if found is None:
            problem = "is not an executable file" if os.path.lexists(command) else "is not installed"
            remedy = self._hint or "; install it, or correct exec.command"
            raise config_error(place, f"the plugin {command} {problem}{remedy}")

    def _login(self, out: bytes) -> Login:
        """Return the login in the plugin's output.

        Raises:
            ValueError: there is none. The message is what the plugin did, to follow its name.
        """
        try:
            printed = msgspec.json.decode(out, type=_ExecCredential)
        except msgspec.ValidationError as error:
            raise ValueError(f"printed no valid ExecCredential: {_lowered(str(error))}; {_UPDATE}") from error
        except ValueError as error:
            raise ValueError(f"printed no JSON; {_UPDATE}") from error
        if printed.kind != "ExecCredential":
            raise ValueError(f"printed no ExecCredential; {_UPDATE}")
        if printed.api_version != self._version:
            raise ValueError(f"printed {printed.api_version[:60]!r}, but exec.apiVersion is {self._version}; {_UPDATE}")
        status = printed.status or _Status()
        authorization = f"Bearer {_token(status.token)}" if status.token else None
        certificate = _certificate(status)
        if authorization is None and certificate is None:
            raise ValueError("printed neither a token nor a certificate; log in with your provider's tool")
        return Login(authorization=authorization, certificate=certificate, expires=_expires(status))


def _token(text: str) -> str:
    try:
        return bearer_token(text)
    except ValueError as error:
        raise ValueError(f"printed a token that is not {error}; {_UPDATE}") from error


def _certificate(status: _Status) -> bytes | None:
    certificate, key = status.client_certificate_data, status.client_key_data
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise ValueError(f"printed only one of a certificate and its key; {_UPDATE}")
    pem = f"{certificate}\n{key}".encode(errors="replace")
    try:
        check_certificate(pem)
    except ValueError as error:
        raise ValueError(f"printed a certificate that can't be used: {error}; {_UPDATE}") from error
    return pem


def _expires(status: _Status) -> float:
    """Return the trio time until which the login is used, from the plugin's wall-clock time."""
    if status.expiration_timestamp is None:
        return math.inf
    left = status.expiration_timestamp.timestamp() - time.time()
    return trio.current_time() + max(left - RENEW_BEFORE, MIN_USE)


def _info(place: str, version: str, cluster: Mapping[str, Any] | None) -> str:
    spec = {"interactive": False} if cluster is None else {"cluster": cluster, "interactive": False}
    info = {"kind": "ExecCredential", "apiVersion": version, "spec": spec}
    try:
        return msgspec.json.encode(info).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise config_error(place, f"the cluster's extension can't be written as JSON: {error}; correct it") from error


def _is_passable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
