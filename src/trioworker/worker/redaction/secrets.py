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

from trioworker.worker.redaction.pattern_set import PatternSet
from trioworker.worker.redaction.secret_kinds import KINDS, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trioworker.worker.redaction.secret_kinds import Kind

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
        # Only what is known by its value may cut into the marker of an earlier redaction; no shape looks like one.
        found = _outside_markers(data, sorted(self._granted(data)))
        candidates = _candidates(data)
        if not found and len(candidates) == 1 and isinstance(shape := candidates[0].looks, Shape):
            # Matches of one shape never overlap.
            name = candidates[0].name
            hidden = shape.hide(data, _marker(name))
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


def holds_marker(text: str) -> bool:
    """Whether something was taken out of the text."""
    return "[REDACTED:" in text and re.search(_marker_pattern().decode(), text) is not None


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


def _marker(name: str) -> bytes:
    return b"[REDACTED:%b]" % name.encode()


def _marker_pattern() -> bytes:
    names = "|".join([*(kind.name for kind in KINDS), *GRANTED_KINDS])
    return rb"\[REDACTED:(?:%b)\]" % names.encode()


def _uncovered(doubtful: list[_Match], found: list[_Match]) -> Iterator[_Match]:
    """Those of the doubtful matches that start in none of those that were found; both are sorted."""
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
    """The text with a marker in place of each stretch of matches that overlap, named by the first of them."""
    markers = {name: _marker(name) for name in names}
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
