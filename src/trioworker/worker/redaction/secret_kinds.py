"""The kinds of secrets, and how each is found in a text.

A kind has an anchor, a cheap test of whether the text may contain it, and a shape or a function that finds it. The
shapes are the contract's (`vectors/secrets.json`). Everything works on UTF-8 bytes: all shapes are ASCII, and bytes are
the fastest to search.

Every search takes linear time on any text: a pattern that fails at an offset either stops after a bounded number of
bytes, or consumes what it has read. Patterns are compiled at first use, since most texts contain few anchors, and
compiling all of them takes milliseconds.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from operator import attrgetter, methodcaller
from typing import NamedTuple

from trioworker.protocol import url_passwords
from trioworker.worker.redaction.key_blocks import MAX_UNCLOSED_LINES, Span, key_blocks

TELEGRAM_DIGITS = (8, 12)
"""The minimum and the maximum number of digits before the colon (contract, `telegram_bot_token`)."""

Finder = Callable[[bytes], Iterable[Span]]
"""Finds the secrets of a kind, in order and without overlaps."""
Validator = Callable[[re.Match[bytes]], int]
"""Returns the offset at which the secret in a match starts; it extends to the end of the match. -1 if there is none."""

_SPAN = methodcaller("span")
_GROUP = attrgetter("lastindex")


class Shape(NamedTuple):
    """The shape of a kind, as a pattern. If the pattern has a group, only matches with that group count.

    Where a pattern isn't enough, `validate` checks each match.
    """

    pattern: bytes
    validate: Validator | None = None

    def find(self, data: bytes) -> Iterable[Span]:
        """The spans of the secrets."""
        pattern, validate = re.compile(self.pattern), self.validate
        if validate is not None:
            return ((start, match.end()) for match in pattern.finditer(data) if (start := validate(match)) >= 0)
        matches = pattern.finditer(data)
        # No Python code runs for each match, as a text may consist of matches.
        return map(_SPAN, filter(_GROUP, matches) if pattern.groups else matches)

    def hide(self, data: bytes, marker: bytes) -> bytes:
        """Replace each secret by `marker`: the same result as with `find`, several times as fast."""
        pattern, validate = re.compile(self.pattern), self.validate
        if validate is not None:

            def replacement(match: re.Match[bytes]) -> bytes:
                start = validate(match)
                return match[0] if start < 0 else data[match.start() : start] + marker

            return pattern.sub(replacement, data)
        if pattern.groups:
            return pattern.sub(lambda match: marker if match.lastindex else match[0], data)
        return pattern.sub(marker, data)


class Kind(NamedTuple):
    """One kind of secret.

    `literal` is a part that every such secret contains. Of two kinds that match at the same offset, the one with the
    longer literal names the match. `anchor` is the RE2 pattern of the cheap test. A `warn_only` kind isn't redacted.
    """

    name: str
    literal: str
    anchor: str
    shape: Shape | Finder
    warn_only: bool = False

    def find(self, data: bytes) -> Iterable[Span]:
        """The spans of the secrets of this kind, in order and without overlaps."""
        return self.shape.find(data) if isinstance(self.shape, Shape) else self.shape(data)


def _openai_key(match: re.Match[bytes]) -> int:
    """Validate an OpenAI key. Words such as `task-…` contain `sk-`; within one, a key needs both cases and a digit."""
    if match.lastindex:
        return match.start()
    # The rest of the run isn't mixed either, so only a part that starts a word can be a key.
    data, (start, end) = match.string, match.span()
    if data.find(b"sk-", start + 3, end) < 0:
        return -1
    inner = re.compile(_INNER_OPENAI_KEY).search(data, start, end)
    return inner.start() if inner else -1


def _follows_word(data: bytes, start: int) -> bool:
    # In JSON, a line break is a backslash and an `n`, which is not part of a word.
    return data[start - 1 : start].isalnum() and data[start - 2 : start] not in {b"\\n", b"\\r", b"\\t"}


def _telegram_tokens(data: bytes) -> Iterable[Span]:
    min_digits, max_digits = TELEGRAM_DIGITS
    for match in re.compile(rb":AA[A-Za-z0-9_-]{30,}").finditer(data):
        start, end = match.span()
        before = data[max(0, start - max_digits) : start]
        digits = len(before) - len(before.rstrip(b"0123456789"))
        if digits >= min_digits:
            yield start - digits, end


def _authorization_headers(data: bytes) -> Iterable[Span]:
    pattern = rb"authorization:%b*+[a-z][a-z0-9_-]*+%b++[a-z0-9._-]{20,}" % (_BLANK, _BLANK)
    return (match.span() for match in re.compile(pattern).finditer(data.lower()))


def _url_passwords(data: bytes) -> Iterable[Span]:
    return (match.span("password") for match in re.compile(url_passwords.PATTERN.encode()).finditer(data))


def _lone_digests(data: bytes) -> Iterable[Span]:
    """Runs of exactly 64 hex digits that aren't part of a word."""
    # Texts are full of short runs, and a pattern would try to match at each digit.
    digits = data.translate(_HEX_DIGITS)
    start = digits.find(_DIGEST)
    while start >= 0:
        end = digits.find(b" ", start + len(_DIGEST))
        end = len(data) if end < 0 else end
        is_word = data[end : end + 1].isalnum() or data[end : end + 1] == b"_" or data[start - 1 : start] == b"_"
        if end - start == len(_DIGEST) and not is_word and not _follows_word(data, start):
            yield start, end
        start = digits.find(_DIGEST, end)


_INNER_OPENAI_KEY = rb"(?<=[_-])sk-[A-Za-z0-9_-]{20}"
# What precedes `sk-`, checked after it, since a pattern that starts with a literal is fast. In JSON, a line break is a
# backslash and an `n`. A `]` may end the marker of an earlier redaction, and redacting again must not find more.
_UNGLUED = rb"(?<![A-Za-z0-9\]]sk-)|(?<=\\[nrt]sk-)"
_MIXED = rb"(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])(?=[A-Za-z_-]*+[0-9])"
# The empty alternative consumes a run that isn't a key, so that its parts aren't tried again.
_OPENAI_KEY = rb"sk-(?:(%b|%b)|)[A-Za-z0-9_-]{20,}" % (_UNGLUED, _MIXED)
_DIGEST = b"0" * 64
_HEX_DIGITS = bytes(ord("0") if chr(code) in string.hexdigits else ord(" ") for code in range(256))
"""Each hex digit becomes a 0 and every other byte a space."""

# In JSON, whitespace may be a backslash and a letter.
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
        # Every run that starts like a token is consumed: trying each `eyJ` of `eyJeyJeyJ…` would be quadratic.
        Shape(rb"eyJ[A-Za-z0-9_-]++(\.eyJ[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++)?"),
    ),
    Kind(
        "pem_private_key",
        "-----BEGIN PRIVATE KEY-----",
        "PRIVATE KEY-----",
        key_blocks(_PEM_LABEL, MAX_UNCLOSED_LINES),
    ),
    Kind(
        "pgp_private_key",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "PGP PRIVATE KEY BLOCK-----",
        key_blocks(b" PGP PRIVATE KEY BLOCK-----"),
    ),
    Kind("url_password", "", url_passwords.ANCHOR, _url_passwords),
    Kind("high_entropy_hex", "", "[0-9A-Fa-f]{64}", _lone_digests, warn_only=True),
)
"""Every kind that is found by its shape."""
