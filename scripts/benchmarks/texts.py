"""The texts that redaction is measured on: what tools usually print, and what costs most.

Secrets are joined from parts, so that no scanner reports this repository as a leak.
"""

from __future__ import annotations

import base64
import os
import random
from pathlib import Path

SEED = 4
_MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7"


def ordinary_texts(size: int) -> dict[str, str]:
    """Source code (Python's own library), logs and base64, of `size` characters each."""
    return {"source code": _source_code(size), "logs": _logs(size), "base64": _base64(size)}


def worst_texts(size: int) -> tuple[str, ...]:
    """Texts of `size` characters that consist of secrets, prefixes of secrets, or prefixes of injection markers."""
    dense = (
        "sk-" + _MIXED + " ",
        "gh" + "p_" + _MIXED * 2 + " ",
        "0123456789abcdef" * 4 + " ",
        "S" + "K" + "0123456789abcdef" * 2 + " ",
        "Bea" + "rer " + _MIXED + " ",
        "Author" + "ization: Basic " + _MIXED + "\n",
        "1234567890:A" + "A" + _MIXED * 2 + " ",
        "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxIn0.abc-_9 ",
        "[REDACTED:openai_api_key] sk-" + _MIXED + " ",
        # Two kinds alternating, each as short as possible: the most matches that a text can hold.
        "ey" + "Ja.ey" + "Ja.a xo" + "xb-abcdefghij ",
        "ey" + "Ja.ey" + "Ja.a sk-" + _MIXED[:20] + " ",
        "Bearer ey" + "JaaaaaaaaA.ey" + "Ja.a ",
        "task-sk-aaaaaaaaaaaaaaaaaaaaaa ",
        # The shortest secrets, so the most of them: the worst text known.
        "ey" + "Ja.ey" + "Ja.a ",
        "xo" + "xb-aaaaaaaaaa ",
        "A" + "KIA" + "A" * 16,
        "[truncated 1 bytes] ...-----END PRIVATE" + " KEY-----",
        "ask-" + "a" * 20 + " ",
    )
    prefixes = [
        *("sk-", "ey" + "J", "ey" + "Ja.", "Bearer ", "authorization: ", "A" + "KIA", ":A" + "A", "0123456789"),
        *("-----BEGIN RSA PRIVATE" + " KEY-----\n", "ignore all the previous ", "you are now from now on "),
        *(" ", "\n", "a", "\\n"),
    ]
    every = " ".join(part.strip() for part in dense) + " "
    return tuple(_filled(part, size) for part in (*dense, *prefixes, every))


def _filled(part: str, size: int) -> str:
    return (part * (size // len(part) + 1))[:size]


def _source_code(size: int) -> str:
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    return _filled("".join(path.read_text("utf-8", errors="replace") for path in files), size)


def _logs(size: int) -> str:
    draw = random.Random(SEED)  # noqa: S311 - no secret
    lines = [
        f"2026-03-{draw.randint(1, 28):02}T{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:07Z "
        f"{draw.choice(('DEBUG', 'INFO', 'WARNING'))} [worker-{draw.randint(1, 16)}] request "
        f"id={draw.getrandbits(64):016x} path=/api/v1/items/{draw.randint(1, 99999)} status=200 "
        f"took={draw.randint(1, 900)}ms"
        for _ in range(size // 100)
    ]
    return _filled("\n".join(lines) + "\n", size)


def _base64(size: int) -> str:
    data = random.Random(SEED).randbytes(size * 3 // 4)  # noqa: S311 - no secret
    return _filled(base64.encodebytes(data).decode(), size)
