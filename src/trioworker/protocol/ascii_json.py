"""JSON in ASCII: it can be written in every locale, and has no control characters."""

from __future__ import annotations

import json
from typing import Any


def ascii_json(value: Any) -> str:
    """Encode built-in types as one line; lone surrogates are allowed."""
    return json.dumps(value, separators=(",", ":"))
