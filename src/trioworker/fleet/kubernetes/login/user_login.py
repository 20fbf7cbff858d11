"""The login of a kubeconfig's user without a plugin: a token, a password, or a client certificate."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.fleet.kubernetes.login.credentials import Login, LoginError
from trioworker.fleet.kubernetes.login.kubeconfig_file import read_file
from trioworker.fleet.kubernetes.login.tls import check_certificate, decode_base64
from trioworker.protocol.values import bearer_token

if TYPE_CHECKING:
    from trioworker.fleet.kubernetes.login.kubeconfig_file import User

READ_INTERVAL = 50.0
"""Seconds after which token and certificate files are read again: client-go's minute, less its margin of 10 s."""


class UserLogin:
    """The login of a kubeconfig's user without a plugin: its values, or files, which are read again."""

    def __init__(self, place: str, user: User) -> None:
        """`place` is the user's place, for errors."""
        self._place = place
        self._user = user

    async def fetch(self) -> Login:
        """See `LoginSource`."""
        if not any((self._user.token_file, self._user.client_certificate, self._user.client_key)):
            return self.read()
        login = await trio.to_thread.run_sync(self.read, abandon_on_cancel=True)
        return msgspec.structs.replace(login, expires=trio.current_time() + READ_INTERVAL)

    def read(self) -> Login:
        """Read the files, and return the login, which doesn't expire.

        Raises:
            LoginError: there is none.
        """
        return Login(authorization=self._authorization(), certificate=self._certificate())

    def _authorization(self) -> str | None:
        user = self._user
        if user.username or user.password:
            pair = f"{user.username or ''}:{user.password or ''}".encode(errors="replace")
            return f"Basic {b64encode(pair).decode()}"
        token = self._token()
        return None if token is None else f"Bearer {token}"

    def _token(self) -> str | None:
        user = self._user
        if user.token_file:
            try:
                return bearer_token(read_file(Path(user.token_file)).decode(errors="replace"))
            except ValueError as error:
                if not user.token:
                    raise self._error(f"tokenFile {user.token_file}", str(error)) from error
        if not user.token:
            return None
        try:
            return bearer_token(user.token)
        except ValueError as error:
            raise self._error("token", f"not {error}") from error

    def _certificate(self) -> bytes | None:
        user = self._user
        certificate = self._pem("client-certificate", user.client_certificate_data, user.client_certificate)
        key = self._pem("client-key", user.client_key_data, user.client_key)
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            missing = "client-certificate" if certificate is None else "client-key"
            raise LoginError(f"{self._place}: {missing} is missing; add it, or remove the other one")
        pem = certificate + b"\n" + key
        try:
            check_certificate(pem)
        except ValueError as error:
            raise self._error("client-certificate and client-key", str(error)) from error
        return pem

    def _pem(self, name: str, data: str | None, path: str | None) -> bytes | None:
        try:
            # As the API reference says, the data take precedence.
            return decode_base64(data) if data else read_file(Path(path)) if path else None
        except ValueError as error:
            raise self._error(f"{name}-data" if data else f"{name} {path}", str(error)) from error

    def _error(self, field: str, problem: str) -> LoginError:
        return LoginError(f"{self._place}: {field}: {problem}; replace it, or log in to the cluster again")
