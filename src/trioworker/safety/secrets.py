"""Secrets are taken out of every text that leaves a tool: on its way to the model, into an event and into the log.

One pass over the text (an RE2 set, which is linear) tells which kinds may be in it, and only those are looked for. All
of them are, whatever else matched: a short prefix never hides a longer key. Matches that overlap become one, named by
the one that starts first. A text that was redacted before stays as it is.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import TYPE_CHECKING

import msgspec

from trioworker.patterns import PatternSet
from trioworker.safety.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.safety.kinds import Kind

MIN_VALUE_CHARACTERS = 6
"""Shorter values of credentials are words that stand everywhere (contract, `granted_credential`)."""

GRANTED_KINDS = ("worker_token", "granted_credential")
"""The kinds that are known by their values, not by their shapes."""


class Redaction(msgspec.Struct, frozen=True):
    """A text without its secrets.

    `kinds` names what was taken out, `warnings` what looks like a secret and stands; each once, as they come.
    """

    text: str
    kinds: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Redactor:
    """Replaces each secret by `[REDACTED:kind]`.

    `token` is the job's own bearer token; `credentials` are the values granted to the job. Both are also found where
    they stand escaped inside JSON text.
    """

    def __init__(self, *, token: str = "", credentials: Iterable[str] = ()) -> None:
        self._values = [*_forms("worker_token", token, 1)]
        for value in credentials:
            self._values += _forms("granted_credential", value, MIN_VALUE_CHARACTERS)

    def redact(self, text: str) -> Redaction:
        """The text without its secrets; time is linear in its length."""
        data = text.encode("utf-8", "surrogatepass")
        found = [*self._granted(data)]
        doubtful: list[_Match] = []
        for kind in _candidates(data):
            specificity = -len(kind.literal)
            matches = [(start, specificity, end, kind.name) for start, end in kind.find(data)]
            (doubtful if kind.warn_only else found).extend(matches)
        if not found and not doubtful:
            return Redaction(text)
        found = _outside_markers(data, sorted(found))
        secrets = _merged(found)
        warnings = _names(match for match in doubtful if not _covered(match, secrets))
        if not secrets:
            return Redaction(text, (), warnings)
        return Redaction(_replaced(data, secrets), _names(found), warnings)

    def _granted(self, data: bytes) -> Iterator[_Match]:
        for name, value in self._values:
            if value in data:
                for match in re.finditer(re.escape(value), data):
                    yield match.start(), -len(value), match.end(), name


_Match = tuple[int, int, int, str]
"""Start, specificity, end and kind: sorted by where it starts, then the most specific first. A text may be nothing but
matches, so they are plain tuples, which are several times cheaper to make than named ones."""


def _forms(name: str, value: str, least: int) -> Iterator[tuple[str, bytes]]:
    value = value.strip()
    if len(value) < least:
        return
    plain = value.encode("utf-8", "surrogatepass")
    yield name, plain
    # A lone surrogate can't be in JSON text, so such a value has no escaped form.
    escaped = msgspec.json.encode(plain.decode("utf-8", "replace"))[1:-1]
    if escaped != plain:
        yield name, escaped


def _candidates(data: bytes) -> list[Kind]:
    return [KINDS[index] for index in _anchors().matching(data)]


@functools.cache
def _anchors() -> PatternSet:
    return PatternSet(kind.anchor for kind in KINDS)


def _outside_markers(data: bytes, matches: list[_Match]) -> list[_Match]:
    """The matches that don't cut into the marker of an earlier redaction: a credential may well be 'REDACTED'."""
    if not matches or b"[REDACTED:" not in data:
        return matches
    markers = [match.span() for match in re.finditer(_marker_pattern(), data)]
    ends = [end for _, end in markers]
    kept: list[_Match] = []
    for match in matches:
        start, _, end, _ = match
        first = bisect.bisect_right(ends, start)
        last = bisect.bisect_left(markers, (end, 0)) - 1
        holds_whole_ones = first <= last and start < markers[first][0] and ends[last] <= end
        if first > last or holds_whole_ones:
            kept.append(match)
    return kept


def _marker_pattern() -> bytes:
    names = "|".join([*(kind.name for kind in KINDS), *GRANTED_KINDS])
    return rb"\[REDACTED:(?:%b)\]" % names.encode()


def _merged(matches: list[_Match]) -> list[_Match]:
    merged: list[_Match] = []
    reached = 0
    for match in matches:
        start, specificity, end, name = match
        if start >= reached:
            merged.append(match)
            reached = end
        elif end > reached:
            first, specificity, _, name = merged[-1]
            merged[-1] = (first, specificity, end, name)
            reached = end
    return merged


def _covered(match: _Match, secrets: list[_Match]) -> bool:
    index = bisect.bisect_right(secrets, (match[0], 1)) - 1
    return index >= 0 and match[0] < secrets[index][2]


def _replaced(data: bytes, secrets: list[_Match]) -> str:
    parts: list[bytes] = []
    position = 0
    for start, _, end, name in secrets:
        parts += (data[position:start], b"[REDACTED:%b]" % name.encode())
        position = end
    parts.append(data[position:])
    return b"".join(parts).decode("utf-8", "surrogatepass")


def _names(matches: Iterable[_Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([name for _, _, _, name in matches]))
