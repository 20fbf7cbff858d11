"""Passwords in URLs, such as `https://user:password@host/`."""

from __future__ import annotations

import re

PATTERN = (
    r":(?:\\?/){2}"  # JSON may escape a slash
    r"[^\s/?#@:\"'`<>\\]*+:"
    # The marker of a redaction, a port in a list, and placeholders such as `%s`, `***` and `...` aren't passwords.
    r"(?!\[REDACTED:|%[a-z(]|[*.x]+@|\d+[,;])"
    # Neither are those in `{password}`, `$PASSWORD`, `$(password)` and `<password>`. The last `@` ends a password.
    r"(?P<password>[^\s/?#\"'`<>{}$()\\|]+)@"
)
"""Matches from the colon of the scheme to the `@`. Takes linear time: no match goes past the next slash."""
ANCHOR = r":(?:\\?/){2}[^\s/?#@:]*:[^\s/]+@"
"""A cheap test of whether a text may contain a match, without lookarounds."""


def hide_url_passwords(text: str) -> str:
    """Replace each password in a URL with `***`: for texts that aren't redacted, such as errors of the command line."""
    # `re` caches the compiled pattern; few runs need it.
    return re.sub(PATTERN, _hidden, text) if "@" in text else text


def _hidden(found: re.Match[str]) -> str:
    return f"{found[0][: found.start('password') - found.start()]}***@"
