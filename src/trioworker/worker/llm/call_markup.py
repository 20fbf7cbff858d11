"""Markup in a model's text: thoughts and tool calls that it wrote as text, as opposed to text about them.

One scanner splits the text, from left to right, into pieces: prose, verbatim text (code fences, inline code,
quotations) and blocks (`<thinking>`, `<tool_call>`, …, plain or piped). Cleaning drops the blocks, and recovery reads
the calls in them. Both use the same pieces, so a quoted call is neither run nor removed.

The time is linear in the length of any text: no part is read more than a fixed number of times.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trioworker.protocol.wire import ToolCall

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

CALL_TAGS = frozenset({"tool_call", "function_call"})
"""The blocks that contain one call each (contract, 'Text rules')."""

ARGUMENT_KEYS = ("arguments", "parameters", "input")
"""The keys under which models write a call's arguments. The first is the contract's."""

NO_JSON = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
"""What msgspec raises for invalid JSON, which includes deep nesting and lone surrogates."""

MAX_CLOSINGS = 8
"""How many closing tags are tried for one call, as strings in its JSON may contain some. Keeps the time linear."""


class Prose(NamedTuple):
    """Ordinary text."""

    text: str


class Verbatim(NamedTuple):
    """A code fence, inline code or a quotation, in which tags have no meaning."""

    text: str


class Block(NamedTuple):
    """The text between a tag and its closing tag. An unclosed block extends to the end of the text."""

    tag: str
    text: str
    is_closed: bool


Piece = Prose | Verbatim | Block


class Recovery(msgspec.Struct, frozen=True):
    """The calls in a text, and the text without thoughts and calls."""

    calls: tuple[ToolCall, ...]
    rest: str


def clean(text: str) -> str:
    """The text without thoughts and calls, with gaps reduced to one blank line, and stripped."""
    return _without_blocks(pieces(text)) if _needs_scan(text) else text.strip()


def recover_calls(text: str, known: Collection[str], taken: Container[str]) -> Recovery:
    """Find the calls of `known` tools that the text contains as markup.

    A call is JSON `{name, arguments}` or a bare name. A block that contains neither is dropped; so is an unclosed one,
    since part of it may be missing. `taken` are the ids of the calls in the conversation, which are not used again.
    """
    if not _needs_scan(text):
        return Recovery((), text.strip())
    found = list(pieces(text))
    calls: list[ToolCall] = []
    number = 0
    for name, arguments in _calls(found):
        if name not in known:
            continue
        while f"recovered_{number}" in taken:
            number += 1
        calls.append(ToolCall(id=f"recovered_{number}", name=name, arguments=arguments))
        number += 1
    return Recovery(tuple(calls), _without_blocks(found))


def pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of the text, from left to right. Together they are the text without the tags of blocks."""
    paragraph = _Paragraph(text)
    yielded = at = 0
    # Whether only white space and blocks precede `yielded` in its line: without them, a line starts there.
    is_fresh = True
    while mark := _next_mark(text, at, at_line_start=is_fresh and at == yielded):
        start, at = mark.span()
        if mark.lastgroup in {"tag", "piped"}:
            before = text[yielded:start]
            is_fresh = not before.rpartition("\n")[2].strip() and (is_fresh or "\n" in before)
            piece, at = _block(text, mark)
        elif end := _end_of_verbatim(text, mark, paragraph):
            before = text[yielded:start]
            is_fresh = False
            piece, at = Verbatim(text[start:end]), end
        else:
            continue
        if before:
            yield Prose(before)
        yield piece
        yielded = at
    if yielded < len(text):
        yield Prose(text[yielded:])


def _needs_scan(text: str) -> bool:
    """Whether the text contains a block or a gap. Most texts contain neither."""
    return "\n\n\n" in text or bool(re.search(_BLOCK, text))


# Patterns are strings, since a compiled one costs up to 1 ms at import: `re` compiles and caches them at first use.
#
# Every repetition is possessive or followed by something that it can't match. A failing match then reads no more than a
# successful one would consume, which keeps the time linear.
_LEAD = r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?(?:(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)|(?P<quote>>))"
_TAGS = "thinking|tool_calls?|function_call"
_BLOCK = rf"(?i)<\|?(?:{_TAGS})"
_LINE_START = rf"(?m){_LEAD}"
_MARK = (
    rf"(?im)^{_LEAD}|(?P<ticks>`++)|\\[\\`]"
    rf"|<(?P<tag>{_TAGS})(?:[\s/][^<>]*+)?>|<\|(?P<piped>{_TAGS})(?:\s[^<>|]*+)?\|>"
)


def _next_mark(text: str, at: int, *, at_line_start: bool) -> re.Match[str] | None:
    return (re.compile(_LINE_START).match(text, at) if at_line_start else None) or re.compile(_MARK).search(text, at)


def _end_of_verbatim(text: str, mark: re.Match[str], paragraph: _Paragraph) -> int | None:
    """The end of the code fence, quotation or inline code that starts at `mark`, None if none starts there."""
    match mark.lastgroup:
        case "fence":
            return _end_of_fence(text, mark)
        case "quote":
            end = text.find("\n", mark.end())
            return end if end >= 0 else len(text)
        case "ticks":
            return paragraph.end_of_code(mark.start(), mark.end() - mark.start())
        case _:
            return None


_FENCE_END = r"(?m)^([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+$"

CLOSING_INDENT = 3
"""How many columns more than its opening a closing fence may be indented (CommonMark, 'Fenced code blocks')."""


def _end_of_fence(text: str, mark: re.Match[str]) -> int:
    fence = mark["fence"]
    indent = mark.start("fence") - mark.start()
    for closing in re.compile(_FENCE_END).finditer(text, mark.end()):
        if closing[2].startswith(fence) and len(closing[1]) <= indent + CLOSING_INDENT:
            return closing.end()
    return len(text)


_RUN_OF_TICKS = r"`+"
_PARAGRAPH_END = r"\n(?=[ \t]*+(?:\n|[>#]|`{3}|~{3}|[-*+][ \t]|\d{1,9}[.)][ \t]))"


class _Paragraph:
    """The runs of backticks in the current paragraph, which inline code never extends beyond.

    Each paragraph is searched only once: searching from each run would be quadratic when many are unclosed.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._runs: dict[int, list[int]] = {}

    def end_of_code(self, start: int, length: int) -> int | None:
        """The end of the inline code that starts with `length` backticks at `start`: after the next run as long."""
        if start >= self._end:
            self._enter(start)
        runs = self._runs.get(length, [])
        while runs and runs[-1] <= start:
            runs.pop()
        return runs[-1] + length if runs else None

    def _enter(self, start: int) -> None:
        end = re.compile(_PARAGRAPH_END).search(self._text, start)
        self._end = end.end() if end else len(self._text)
        self._runs = {}
        for run in reversed([*re.compile(_RUN_OF_TICKS).finditer(self._text, start, self._end)]):
            self._runs.setdefault(len(run[0]), []).append(run.start())


def _block(text: str, mark: re.Match[str]) -> tuple[Block, int]:
    """The block that `mark` opens, and the offset after it."""
    tag = mark[mark.lastgroup or 0].lower()
    if mark[0].endswith("/>"):
        return Block(tag, "", is_closed=True), mark.end()
    closings = _closing_tag(tag, mark.lastgroup == "piped").finditer(text, mark.end())
    first = next(closings, None)
    if first is None:
        return Block(tag, text[mark.end() :], is_closed=False), len(text)
    closing = first
    if tag in CALL_TAGS and text[mark.end() : first.start()].lstrip().startswith("{"):
        candidates = (first, *itertools.islice(closings, MAX_CLOSINGS - 1))
        closing = next((end for end in candidates if _is_json(text[mark.end() : end.start()])), first)
    return Block(tag, text[mark.end() : closing.start()], is_closed=True), closing.end()


@functools.cache
def _closing_tag(tag: str, is_piped: bool) -> re.Pattern[str]:
    return re.compile(rf"<\|/{tag}\|>" if is_piped else rf"</{tag}\s*+>", re.IGNORECASE)


def _calls(found: Iterable[Piece]) -> Iterator[tuple[str, Any]]:
    for piece in found:
        if not isinstance(piece, Block) or not piece.is_closed:
            continue
        if piece.tag == "tool_calls":
            yield from _calls(pieces(piece.text))
        elif piece.tag in CALL_TAGS and (call := _call(piece.text.strip())):
            yield call


def _call(written: str) -> tuple[str, Any] | None:
    """The name and the arguments of a call that is written as JSON or as a bare name; None if it is malformed."""
    if not written.startswith("{"):
        return written, {}
    try:
        value: dict[str, Any] = msgspec.json.decode(written)
    except NO_JSON:
        return None
    name = value.get("name")
    if not isinstance(name, str):
        return None
    for key in ARGUMENT_KEYS:
        if value.get(key) is not None:
            return name, value[key]
    return name, {}


def _is_json(written: str) -> bool:
    try:
        msgspec.json.decode(written, type=msgspec.Raw)
    except NO_JSON:
        return False
    return True


_GAP = r"\n{3,}"


def _without_blocks(found: Iterable[Piece]) -> str:
    parts: list[str] = []
    prose: list[str] = []
    for piece in found:
        match piece:
            case Prose(text):
                # Joined before gaps are reduced, as a block may be in the middle of one.
                prose.append(text)
            case Verbatim(text):
                parts += (re.sub(_GAP, "\n\n", "".join(prose)), text)
                prose.clear()
            case Block():
                pass
    parts.append(re.sub(_GAP, "\n\n", "".join(prose)))
    return "".join(parts).strip()
