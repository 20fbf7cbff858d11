"""Redaction: secrets are removed from every text that leaves a tool, for the model, for events and for the log.

One linear pass with an RE2 set finds which kinds the text may contain, and only those are searched for. Each of them is
searched for, whatever else matched, so a short prefix never hides a longer key. Overlapping matches become one, named
after the one that starts first. Redacting a text twice changes nothing.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import TYPE_CHECKING

import msgspec

from trioworker.worker.redaction.pattern_set import PatternSet
from trioworker.worker.redaction.secret_kinds import KINDS, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.redaction.secret_kinds import Kind

MIN_VALUE_CHARACTERS = 6
"""Shorter values of credentials are ordinary words (contract, `granted_credential`)."""

MIN_LINE_CHARACTERS = 8
"""Shorter lines of a credential, such as `}`, are not searched for separately."""
_KEY_BOUNDARY = ("-----BEGIN ", "-----END ")
"""A key's first and last line, which are no secret and occur in ordinary code."""

GRANTED_KINDS = ("worker_token", "granted_credential")
"""The kinds that are found by their values and not by their shapes."""


class Redaction(msgspec.Struct, frozen=True):
    """A text without its secrets.

    `kinds` are those of the redacted secrets, `warnings` those of matches that were left in the text. Each kind appears
    once, in the order of the text.
    """

    text: str
    kinds: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Redactor:
    """Replaces each secret by `[REDACTED:kind]`.

    `token` is the job's bearer token, and `credentials` are the values granted to the job. Both are also found in JSON
    text, in their escaped forms. A credential of several lines is found line by line, since a tool may number or indent
    them, or show only some.
    """

    def __init__(self, *, token: str = "", credentials: Iterable[str] = ()) -> None:
        self._values = [*_forms("worker_token", token, 1)]
        for value in credentials:
            self._values += _forms("granted_credential", value, MIN_VALUE_CHARACTERS)

    def redact(self, text: str) -> Redaction:
        """The text without its secrets, in linear time."""
        data = text.encode("utf-8", "surrogatepass")
        # Only a value may overlap the marker of an earlier redaction: no shape matches one.
        found = _outside_markers(data, sorted(self._granted(data)))
        candidates = _candidates(data)
        if not found and len(candidates) == 1 and isinstance(shape := candidates[0].shape, Shape):
            # The usual case of one kind is faster this way: matches of one shape never overlap.
            name = candidates[0].name
            hidden = shape.hide(data, marker(name))
            return Redaction(text) if hidden == data else Redaction(hidden.decode("utf-8", "surrogatepass"), (name,))
        doubtful: list[_Match] = []
        for kind in candidates:
            specificity, name = -len(kind.literal), kind.name
            matches = [(start, specificity, end, name) for start, end in kind.find(data)]
            (doubtful if kind.warn_only else found).extend(matches)
        if not found and not doubtful:
            return Redaction(text)
        found.sort()
        warnings = _names(_uncovered(doubtful, found))
        if not found:
            return Redaction(text, (), warnings)
        names = _names(found)
        return Redaction(_replaced(data, found, names), names, warnings)

    def _granted(self, data: bytes) -> Iterator[_Match]:
        for name, value in self._values:
            if value in data:
                for match in re.finditer(re.escape(value), data):
                    yield match.start(), -len(value), match.end(), name


def marker(name: str) -> bytes:
    """What stands for a redacted secret of the kind `name`."""
    return b"[REDACTED:%b]" % name.encode()


_Match = tuple[int, int, int, str]
"""Start, specificity, end and kind; sorted by start, the most specific first. A text may consist of matches, and named
tuples would take several times as long to create.
"""


def _forms(name: str, value: str, min_length: int) -> Iterator[tuple[str, bytes]]:
    """What to search for: the value and each of its lines, plain, escaped, and escaped twice."""
    value = value.strip()
    if len(value) < min_length:
        return
    lines = [line.strip() for line in value.splitlines()]
    long_lines = [line for line in lines if len(line) >= MIN_LINE_CHARACTERS and not line.startswith(_KEY_BOUNDARY)]
    for part in dict.fromkeys([value, *long_lines]):
        plain = part.encode("utf-8", "surrogatepass")
        # JSON text can't contain a lone surrogate, so a value with one has no escaped form.
        escaped = _escaped(plain.decode("utf-8", "replace"))
        for form in dict.fromkeys([plain, escaped, _escaped(escaped.decode())]):
            yield name, form


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def _candidates(data: bytes) -> list[Kind]:
    return [KINDS[index] for index in _anchors().matching(data)]


@functools.cache
def _anchors() -> PatternSet:
    return PatternSet(kind.anchor for kind in KINDS)


def _outside_markers(data: bytes, matches: list[_Match]) -> list[_Match]:
    """The matches that aren't part of the marker of an earlier redaction: a credential may be 'REDACTED'."""
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


def _uncovered(doubtful: list[_Match], found: list[_Match]) -> Iterator[_Match]:
    """The doubtful matches that start in none of the found ones. Both are sorted."""
    upcoming = iter(found)
    following = next(upcoming, None)
    reached = 0
    for match in doubtful:
        while following is not None and following[0] <= match[0]:
            reached = max(reached, following[2])
            following = next(upcoming, None)
        if match[0] >= reached:
            yield match


def _replaced(data: bytes, found: list[_Match], names: Iterable[str]) -> str:
    """The text with one marker in place of each group of overlapping matches, named after the first of them."""
    markers = {name: marker(name) for name in names}
    parts: list[bytes] = []
    reached = 0
    for start, _, end, name in found:
        if start >= reached:
            parts.append(data[reached:start])
            parts.append(markers[name])
            reached = end
        elif end > reached:
            reached = end
    parts.append(data[reached:])
    return b"".join(parts).decode("utf-8", "surrogatepass")


def _names(matches: Iterable[_Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([name for _, _, _, name in matches]))
