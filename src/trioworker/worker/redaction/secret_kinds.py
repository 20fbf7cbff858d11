"""The kinds of secrets: what each looks like, and where it stands in a text.

A kind has an anchor, which tells cheaply whether it is worth looking for, and a finder, which tells where it is. The
shapes are the contract's (`vectors/secrets.json`); a few of them need more than a pattern, and those have a finder of
their own. Everything works on UTF-8 bytes: all shapes are ASCII, and bytes are the fastest thing to search.

No finder may be slower than linear, whatever the text. So a pattern that fails at one place either gives up after a
bounded number of bytes, or has consumed what it looked at.
"""

from __future__ import annotations

import bisect
import re
import string
from collections.abc import Callable, Iterable
from operator import attrgetter, methodcaller
from typing import NamedTuple

Span = tuple[int, int]
"""Start and end of a secret, in bytes."""

TELEGRAM_DIGITS = (8, 12)
"""Digits of a bot's number before the colon, at the least and looked at (contract, `telegram_bot_token`)."""


Finder = Callable[[bytes], Iterable[Span]]
Judge = Callable[[re.Match[bytes]], int]
"""Where in a match of the pattern the secret starts, which then goes to its end; -1 if it is none."""


_SPAN = methodcaller("span")
_GROUP = attrgetter("lastindex")


class Shape(NamedTuple):
    """A kind's text, as a pattern; one with a group means the matches in which the group took part.

    `judge` looks at each match where a pattern can't tell.
    """

    pattern: bytes
    judge: Judge | None = None

    def find(self, data: bytes) -> Iterable[Span]:
        """Where the secrets are."""
        # Compiled at first use: most texts hold few anchors, and all patterns together take milliseconds to compile.
        pattern, judge = re.compile(self.pattern), self.judge
        if judge is not None:
            return ((start, match.end()) for match in pattern.finditer(data) if (start := judge(match)) >= 0)
        matches = pattern.finditer(data)
        # A text may be nothing but matches; so no step of Python's own for each.
        return map(_SPAN, filter(_GROUP, matches) if pattern.groups else matches)

    def hide(self, data: bytes, marker: bytes) -> bytes:
        """The text with `marker` in place of each: the same as by `find`, and several times as fast."""
        pattern, judge = re.compile(self.pattern), self.judge
        if judge is not None:

            def judged(match: re.Match[bytes]) -> bytes:
                start = judge(match)
                return match[0] if start < 0 else data[match.start() : start] + marker

            return pattern.sub(judged, data)
        if pattern.groups:
            return pattern.sub(lambda match: marker if match.lastindex else match[0], data)
        return pattern.sub(marker, data)


class Kind(NamedTuple):
    """One kind of secret.

    `literal` is what its text must hold, and tells how specific it is: of two kinds that start at one place, the one
    with the longer literal names the match. `anchor` is the RE2 pattern of the cheap test. What is `warn_only` stays
    in the text.
    """

    name: str
    literal: str
    anchor: str
    looks: Shape | Finder
    warn_only: bool = False

    def find(self, data: bytes) -> Iterable[Span]:
        """Where the secrets of this kind are, in order; none overlaps another."""
        return self.looks.find(data) if isinstance(self.looks, Shape) else self.looks(data)


def _openai_key(match: re.Match[bytes]) -> int:
    """`sk-` ends many a word (`task-…`, `disk-…`): glued to one, only what has a capital and a digit is a key."""
    if match.lastindex:
        return match.start()
    # What follows has no capital or no digit either, so only one that is not glued can be a key.
    data, (start, end) = match.string, match.span()
    if data.find(b"sk-", start + 3, end) < 0:
        return -1
    inner = _INNER_OPENAI_KEY.search(data, start, end)
    return inner.start() if inner else -1


def _follows_word(data: bytes, start: int) -> bool:
    # In JSON text a line break is a backslash and an `n`.
    return data[start - 1 : start].isalnum() and data[start - 2 : start] not in {b"\\n", b"\\r", b"\\t"}


def _telegram_tokens(data: bytes) -> Iterable[Span]:
    least, most = TELEGRAM_DIGITS
    for match in re.compile(rb":AA[A-Za-z0-9_-]{30,}").finditer(data):
        start, end = match.span()
        before = data[max(0, start - most) : start]
        digits = len(before) - len(before.rstrip(b"0123456789"))
        if digits >= least:
            yield start - digits, end


def _authorization_headers(data: bytes) -> Iterable[Span]:
    pattern = rb"authorization:%b*+[a-z][a-z0-9_-]*+%b++[a-z0-9._-]{20,}" % (_BLANK, _BLANK)
    return (match.span() for match in re.compile(pattern).finditer(data.lower()))


def _lone_digests(data: bytes) -> Iterable[Span]:
    """Runs of just 64 hex digits that are no part of a word."""
    # Any text is full of short runs, which a pattern would try at each of their digits.
    digits = data.translate(_HEX_DIGITS)
    start = digits.find(_DIGEST)
    while start >= 0:
        end = digits.find(b" ", start + len(_DIGEST))
        end = len(data) if end < 0 else end
        is_word = data[end : end + 1].isalnum() or data[end : end + 1] == b"_" or data[start - 1 : start] == b"_"
        if end - start == len(_DIGEST) and not is_word and not _follows_word(data, start):
            yield start, end
        start = digits.find(_DIGEST, end)


def _blocks(label: bytes) -> Finder:
    """From the beginning to the end or the end of the text; and to an end whose beginning a tool cut away."""
    # Patterns that start with a literal are searched for many times faster than a choice of several.
    pattern = rb"-----(?:(BEGIN)|END)" + label

    def find(data: bytes) -> Iterable[Span]:
        cuts = [match.span() for match in re.compile(rb"\[truncated [0-9]+ bytes\] \.\.\.").finditer(data)]
        opened = None
        reached = 0
        for mark in re.compile(pattern).finditer(data):
            if mark.lastindex:
                opened = mark.start() if opened is None else opened
                continue
            if opened is None:
                # The last cut since the block before.
                index = bisect.bisect_left(cuts, (mark.start(), 0)) - 1
                opened = cuts[index][1] if index >= 0 and cuts[index][0] >= reached else None
            if opened is not None:
                yield opened, mark.end()
                opened = None
                reached = mark.end()
        if opened is not None:
            yield opened, len(data)

    return find


_INNER_OPENAI_KEY = re.compile(rb"(?<=[_-])sk-[A-Za-z0-9_-]{20}")
# What stands before `sk-`, seen from behind it, since a pattern that starts with a literal is fast. In JSON text a line
# break is a backslash and an `n`; `]` may end an earlier redaction, after which no word starts that was none before.
_UNGLUED = rb"(?<![A-Za-z0-9\]]sk-)|(?<=\\[nrt]sk-)"
_MIXED = rb"(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])(?=[A-Za-z_-]*+[0-9])"
# The last choice is no key, and takes the whole run with it: its parts must not be tried once more.
_OPENAI_KEY = rb"sk-(?:(%b|%b)|)[A-Za-z0-9_-]{20,}" % (_UNGLUED, _MIXED)
_DIGEST = b"0" * 64
_HEX_DIGITS = bytes(ord("0") if chr(code) in string.hexdigits else ord(" ") for code in range(256))
"""Each hex digit becomes a 0 and every other byte a space."""

# Tool output is JSON, where white space may be a backslash and a letter.
_BLANK = rb"(?:[ \t]|\\t)"
_SPACE = rb"(?:\s|\\[nrt])"
_PEM_LABEL = rb" (?:(?:RSA|EC|DSA|OPENSSH|ENCRYPTED) )?PRIVATE KEY-----"

KINDS = (
    Kind("openai_api_key", "sk-", "sk-[A-Za-z0-9_-]{8}", Shape(_OPENAI_KEY, _openai_key)),
    Kind("anthropic_api_key", "sk-ant-api", "sk-ant-api", Shape(rb"sk-ant-api[A-Za-z0-9_-]{90,}")),
    Kind("anthropic_oauth_token", "sk-ant-oat00-", "sk-ant-oat", Shape(rb"sk-ant-oat[0-9]{2}-[A-Za-z0-9_-]{50,}")),
    Kind("openrouter_api_key", "sk-or-v1-", "sk-or-v1-", Shape(rb"sk-or-v1-[0-9A-Fa-f]{40,}")),
    Kind("aws_access_key", "AKIA", "AKIA[A-Z0-9]{4}", Shape(rb"AKIA[A-Z0-9]{16}")),
    Kind("github_token", "ghp_", "gh[pousr]_", Shape(rb"gh[pousr]_[A-Za-z0-9_]{36,}")),
    Kind(
        "github_fine_grained_pat", "github_pat_", "github_pat_", Shape(rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}")
    ),
    Kind("stripe_api_key", "sk_live_", "sk_(?:live|test)_", Shape(rb"sk_(?:live|test)_[A-Za-z0-9]{24,}")),
    Kind("nearai_session", "sess_", "sess_[A-Za-z0-9]{8}", Shape(rb"sess_[A-Za-z0-9]{32,}")),
    Kind("google_api_key", "AIza", "AIza", Shape(rb"AIza[A-Za-z0-9_-]{35}")),
    Kind("slack_token", "xoxb-", "xox[baprs]-", Shape(rb"xox[baprs]-[A-Za-z0-9-]{10,}")),
    Kind("twilio_api_key", "SK", "SK[0-9A-Fa-f]{8}", Shape(rb"SK[0-9A-Fa-f]{32}")),
    Kind("sendgrid_api_key", "SG.", r"SG\.[A-Za-z0-9_-]{8}", Shape(rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")),
    Kind("bearer_token", "Bearer", r"Bearer(?:\s|\\[nrt])", Shape(rb"Bearer%b++[A-Za-z0-9._-]{20,}" % _SPACE)),
    Kind("auth_header", "Authorization:", "(?i:authorization:)", _authorization_headers),
    Kind("telegram_bot_token", ":AA", "[0-9]:AA[A-Za-z0-9_-]{8}", _telegram_tokens),
    Kind("groq_api_key", "gsk_", "gsk_", Shape(rb"gsk_[A-Za-z0-9]{30,}")),
    Kind(
        "json_web_token",
        ".eyJ",
        r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.",
        # Each run that starts like a token is consumed, or a text of `eyJeyJeyJ…` would be read once for each of them.
        Shape(rb"eyJ[A-Za-z0-9_-]++(\.eyJ[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++)?"),
    ),
    Kind(
        "pem_private_key",
        "-----BEGIN PRIVATE KEY-----",
        "PRIVATE KEY-----",
        _blocks(_PEM_LABEL),
    ),
    Kind(
        "pgp_private_key",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "PGP PRIVATE KEY BLOCK-----",
        _blocks(b" PGP PRIVATE KEY BLOCK-----"),
    ),
    Kind("high_entropy_hex", "", "[0-9A-Fa-f]{64}", _lone_digests, warn_only=True),
)
"""Every kind that is known by its shape; the values granted to a job are known by themselves."""
