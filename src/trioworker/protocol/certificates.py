"""The certificates that verify TLS connections, and the description of what is wrong with a server's certificate.

Three variables replace the default certificates: `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL defines them, and
`REQUESTS_CA_BUNDLE`, a file or a directory. All that are set are trusted together.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")

_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
_REMEDIES = {
    _NOT_YET_VALID: "correct this machine's clock, or replace the certificate",
    _EXPIRED: "renew it, or correct this machine's clock",
    _HOST_MISMATCH: "use a URL with a name from the certificate",
    _ADDRESS_MISMATCH: "use a URL with a name from the certificate",
}
"""Remedies by OpenSSL's error number (X509_V_ERR_…)."""
_UNKNOWN_ISSUER = "set SSL_CERT_FILE to the PEM file of the authority that issued it"

_CORRECT = "correct the path or unset the variable"


def client_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """The settings of a TLS client that trusts the certificates that `environment` names.

    By default, it trusts the system's and Mozilla's.

    Raises:
        ValueError: a file or directory can't be used. The message is one line and names the variable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    named = [(variable, environment[variable]) for variable in VARIABLES if environment.get(variable)]
    for variable, places in named:
        _trust(context, variable, places)
    if not named:
        import certifi

        context.load_default_certs()
        # Container images without the system's certificates are common.
        context.load_verify_locations(certifi.where())
    return context


def certificate_problem(error: BaseException | None) -> str | None:
    """What is wrong with the server's certificate, and what to do, if `error` or one of its causes says so."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = _REMEDIES.get(error.verify_code, _UNKNOWN_ISSUER)
            return f"the server's certificate is not trusted: {error.verify_message.rstrip('.').lower()}; {remedy}"
        if isinstance(error, BaseExceptionGroup):
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[-1]
        else:
            error = error.__cause__ or error.__context__
    return None


def _trust(context: ssl.SSLContext, variable: str, places: str) -> None:
    try:
        if variable == "SSL_CERT_DIR" or Path(places).is_dir():
            _check_directories(places)
            context.load_verify_locations(capath=places)
        else:
            context.load_verify_locations(cafile=places)
    except ssl.SSLError as error:
        raise ValueError(f"{variable}: {places}: not a file of PEM certificates; {_CORRECT}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{variable}: {places}: {reason}; {_CORRECT}") from error


def _check_directories(places: str) -> None:
    """OpenSSL ignores directories that it can't read. Raise for the last one if none of them can be read."""
    failure: OSError | None = None
    for place in places.split(os.pathsep):
        try:
            os.scandir(place).close()
        except OSError as error:
            failure = error
        else:
            return
    if failure is not None:
        raise failure
