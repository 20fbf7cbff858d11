"""Asks a worker over its health socket, from another process.

The name of the client's own socket says what it asks for, so the worker reads nothing and answers at once. The clients
don't import trio: health checks are started every few seconds, and a plain socket is enough.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEALTHY, UNHEALTHY = 0, 1

TIMEOUT = 5.0
"""Seconds after which a worker that does not answer counts as hung; its event loop is never blocked for that long."""
TREE_CLIENT = b"\0trioworker-tree-"
"""Prefix of the name of a socket that asks for the task tree: an abstract name, which isn't a file (unix(7))."""


class UnhealthyError(Exception):
    """Why a worker counts as unhealthy."""


def request(path: Path, max_bytes: int, *, tree: bool = False) -> bytes:
    """What the worker at the socket responds: its health, or its task tree.

    Raises:
        UnhealthyError: it doesn't respond.
    """
    until = time.monotonic() + TIMEOUT
    response = b""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            if tree:
                client.bind(TREE_CLIENT + f"{os.getpid()}-{secrets.token_hex(8)}".encode())
            client.settimeout(TIMEOUT)
            client.connect(str(path))
            while len(response) <= max_bytes:
                client.settimeout(max(0.001, until - time.monotonic()))
                part = client.recv(max_bytes)
                if not part:
                    break
                response += part
    except TimeoutError as error:
        raise UnhealthyError(f"the worker at {path} did not answer within {TIMEOUT:g} s") from error
    except OSError as error:
        raise UnhealthyError(f"no worker answers at {path}: {error.strerror}; is one running?") from error
    return response


def not_a_worker(path: Path) -> UnhealthyError:
    """The error for a response that can't be decoded."""
    return UnhealthyError(f"the response at {path} is not from a worker of this version")
