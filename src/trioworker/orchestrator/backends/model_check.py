"""Asks a model server for its models before the first request, so that a wrong option is an error at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import trio

from trioworker.errors import ConfigError
from trioworker.orchestrator.backends.base import LlmError, LlmRefusedError
from trioworker.orchestrator.backends.model_list import choice, is_listed, near_names, read_names, shown

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import Backend
    from trioworker.orchestrator.backends.openai import Response

CHECK_TIMEOUT = 3.0
"""Seconds of the whole check."""
CONNECT_TIMEOUT = 2.5
"""Seconds of it to connect. A server that accepts the connection but doesn't answer in time is only slow, and so is a
name server.
"""
TRANSIENT_STATUSES = frozenset({408, 425, 429})
"""The statuses below 500 that may be transient."""
LIST_REFUSED = re.compile(r"missing scopes|insufficient permissions|x-api-key (?:header )?is required", re.IGNORECASE)
"""The words of OpenAI for a key that may not list models, and of Anthropic, whose list needs a header of its own.
Completions still work.
"""
TLS_EXPECTED = re.compile(r"https? (?:request )?.{0,20}to (?:an )?https (?:server|port)", re.IGNORECASE)
"""The words of Go's servers and nginx for a request without TLS to a port with TLS."""


class UnreachableModelServerError(ConfigError):
    """No connection to the model server. It may be started later."""


@runtime_checkable
class ModelServer(Protocol):
    """A backend that asks a server, which may list its models.

    Attributes:
        model: the model to request; None for the server's only one.
        url: the base URL, without a password.
        url_source: the option or variable that the URL is from.
        key_variable: the variable that the API key is from.
    """

    model: str | None
    url: str
    url_source: str
    key_variable: str

    async def get(self, path: str, *, connect_timeout: float) -> Response:
        """The response to a GET request for a path below the base URL.

        Raises:
            LlmError: there is no connection within `connect_timeout` seconds after the name lookup.
        """
        ...

    def error_of(self, response: Response) -> LlmError:
        """The error in a response without success."""
        ...


async def check_model(backend: Backend) -> str | None:
    """Check the server, the API key and the model of a backend; a backend without a server passes.

    If no model is named and the server lists only one, the backend will request that.

    Returns:
        A warning in one line, or None. A model that isn't listed, a slow server and one that fails are only warnings.

    Raises:
        UnreachableModelServerError: there is no connection within `CONNECT_TIMEOUT`.
        ConfigError: the server refuses the API key, its URL isn't that of an API, or no model is named and the server
            doesn't list exactly one.
    """
    if not isinstance(backend, ModelServer):
        return None
    with trio.move_on_after(CHECK_TIMEOUT):
        return await _check(backend)
    return f"the model server did not list its models within {CHECK_TIMEOUT:g} s, so the model is not checked"


async def _check(server: ModelServer) -> str | None:
    response = await _get(server, "/models")
    names = read_names(response.body) if response.is_success else None
    if names is not None:
        return _check_name(server, names)
    _check_key(server, response)
    await _check_url(server, response)
    if response.status in TRANSIENT_STATUSES or response.status >= 500:
        return f"{server.error_of(response)}; the model is not checked"
    if server.model is None:
        raise ConfigError("the model server does not list its models; name one with --model NAME")
    return None


async def _get(server: ModelServer, path: str) -> Response:
    try:
        return await server.get(path, connect_timeout=CONNECT_TIMEOUT)
    except LlmRefusedError as error:
        # A certificate that isn't trusted: the message has the remedy.
        raise ConfigError(str(error)) from error
    except LlmError as error:
        remedy = f"check that it runs, and the URL in {server.url_source}"
        raise UnreachableModelServerError(f"no connection to the model server: {error}; {remedy}") from error


def _check_name(server: ModelServer, names: tuple[str, ...]) -> str | None:
    if server.model is None:
        if len(names) != 1:
            raise ConfigError(choice(names))
        server.model = names[0]
        return None
    if is_listed(server.model, names):
        return None
    near = near_names(server.model, names)
    meant = f"did you mean {' or '.join(near)}?" if near else f"it lists {shown(names) or 'none'}."
    return _one_line(f"the model server does not list the model {server.model}: {meant} It is requested anyway")


def _check_key(server: ModelServer, response: Response) -> None:
    if response.status not in {401, 403}:
        return
    error = server.error_of(response)
    if not LIST_REFUSED.search(str(error)):
        raise ConfigError(f"{error}; set {server.key_variable} to a valid key, or name another variable: --api-key-env")


async def _check_url(server: ModelServer, response: Response) -> None:
    """Refuse a URL that leads to something other than the API. An API without a list of models passes."""
    asked = f"{server.url}/models"
    if 300 <= response.status < 400 and response.location.rstrip("/") not in {"", asked}:
        raise ConfigError(_wrong_url(server, "redirects", response.location.rstrip("/").removesuffix("/models")))
    if response.status == 400 and TLS_EXPECTED.search(str(server.error_of(response))):
        raise ConfigError(_wrong_url(server, "requires TLS", server.url.replace("http:", "https:", 1)))
    if not (response.is_success or response.status in {404, 405}):
        return
    if not re.search(r"/v\d\w*$", server.url):
        other = await _get(server, "/v1/models")
        if other.is_success and read_names(other.body) is not None:
            raise ConfigError(_wrong_url(server, "has no models there", f"{server.url}/v1"))
    if response.is_success and response.body.lstrip().startswith(b"<"):
        raise ConfigError(
            _wrong_url(server, "answers with a web page", "the URL of its API, which usually ends with /v1")
        )


def _wrong_url(server: ModelServer, problem: str, remedy: str) -> str:
    return _one_line(f"{server.url_source}: {server.url}: the model server {problem}; use {remedy}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
