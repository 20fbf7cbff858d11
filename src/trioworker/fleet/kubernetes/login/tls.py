"""TLS settings for an API server, and client certificates, which are never written to disk."""

from __future__ import annotations

import os
import ssl
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from trioworker.protocol.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping


class _NamedServerContext(ssl.SSLContext):
    """Expects the certificate of `server_name`, whatever host it connects to."""

    server_name = ""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*arguments, **{**options, "server_hostname": self.server_name})


def cluster_context(
    authority: bytes | None, *, verify: bool, server_name: str | None, environ: Mapping[str, str]
) -> ssl.SSLContext:
    """Return the settings for one server.

    Args:
        authority: PEM certificates, which are the only ones to trust; None: those of this machine.
        verify: whether the server's certificate is verified at all.
        server_name: the name in the certificate, if it isn't that of the URL.
        environ: may name this machine's certificates.

    Raises:
        ValueError: the certificates or the name can't be used. The message is the reason.
    """
    if authority is None and verify and not server_name:
        return client_context(environ)
    context = _NamedServerContext(ssl.PROTOCOL_TLS_CLIENT) if server_name else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(context, _NamedServerContext):
        context.server_name = server_name or ""
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is None:
        context.load_default_certs()
    else:
        # As in kubectl: each of these certificates is trusted, including those of intermediate authorities.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=authority.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("not PEM certificates") from error
    return context


def check_host(context: ssl.SSLContext, host: str) -> None:
    """Check that a connection to this host can be made with these settings.

    Raises:
        ValueError: the name isn't valid.
    """
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise ValueError("not a valid host name") from error


def load_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    """Log in with this certificate and key on all connections that are made from now on.

    Raises:
        ValueError: they can't be used. The message is the reason.
    """
    # OpenSSL reads them only from files; this one is in memory.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with open(descriptor, "wb", buffering=0) as file:
        file.write(pem)
        try:
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_refuse_encrypted)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError("the key doesn't belong to the certificate") from error
            raise ValueError("not a certificate and its key, in PEM") from error


def check_certificate(pem: bytes) -> None:
    """Check that `load_certificate` will succeed.

    Raises:
        ValueError: it won't. The message is the reason.
    """
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)


def decode_base64(text: str) -> bytes:
    """Decode Base64, which may have line breaks.

    Raises:
        ValueError: it isn't valid. The message is the reason.
    """
    try:
        return b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise ValueError("not valid Base64") from error


def _refuse_encrypted() -> str:
    raise ValueError("the key is encrypted; decrypt it")
