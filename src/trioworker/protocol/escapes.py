"""Repairs JSON in which a model didn't escape backslashes, as in regular expressions: `"\\d+\\.py"`."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r'\\(?:["\\/nrt]|u[0-9a-fA-F]{4}|())')


def with_literal_backslashes(text: str) -> str:
    r"""Invalid JSON with a second backslash where one doesn't start an escape, so that it stands for itself.

    Where escapes are invalid, `\b` and `\f` are backslashes too: nobody means a backspace or a form feed.
    """
    return _ESCAPE.sub(lambda found: r"\\" if found[1] is not None else found[0], text)
