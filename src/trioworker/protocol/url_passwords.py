"""Hides the passwords in URLs, such as `https://user:password@host/`."""

from __future__ import annotations

import re

PATTERN = (
    r":(?:\\?/){2}"  # JSON may escape a slash
    r"[^\s/?#@:\"'`<>]*:"
    r"(?!\[REDACTED:)"
    # A placeholder, as in `{password}`, `$PASSWORD`, `<password>` or `***`, is no password. The last `@` ends it.
    r"(?![*.x]+@|%s|\.\.\.)"
    r"(?P<password>[^\s/?#\"'`<>{}$()\\|]+)@"
)
"""Matches from the scheme's colon to the `@`. Takes linear time: no part goes past the next slash."""
ANCHOR = r":(?:\\?/){2}[^\s/?#@:]*:[^\s/]+@"
"""A cheap test, without lookarounds, of whether a text may contain a match."""
HIDDEN = "***"


def hide_url_passwords(text: str) -> str:
    """Replace each password in a URL by `***`, for errors and logs of text that isn't redacted otherwise."""
    if "@" not in text or "/" not in text:
        return text
    return _pattern().sub(_hidden, text)


def _pattern() -> re.Pattern[str]:
    # `re` caches it. Compiled at first use, since most runs show no URL.
    return re.compile(PATTERN)


def _hidden(found: re.Match[str]) -> str:
    start = found.start("password") - found.start()
    return f"{found[0][:start]}{HIDDEN}@"
