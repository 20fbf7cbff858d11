"""The markup in a model's text: thoughts and calls that were written out, told apart from talk about them.

One scanner reads the text once, from left to right, and cuts it into pieces: prose, what is kept as it is (code
fences, inline code, quotations), and blocks (`<thinking>`, `<tool_call>`, …, plain or piped). Cleaning drops the
blocks; recovery reads the calls in them. Both see the same pieces, so a call that is quoted is never run and never
lost. Time is linear in the text, whatever it holds: what was consumed is read again a bounded number of times.
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
"""The blocks that hold one call each (contract, 'Text rules')."""

ARGUMENT_KEYS = ("arguments", "parameters", "input")
"""Where models write a call's arguments; the first is the contract's."""

NO_JSON = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
"""What msgspec raises for a text that is no JSON: nested too deep, or with half a character, are ways to be none."""

MAX_CLOSINGS = 8
"""Closing tags that are tried for one call: its JSON may hold some in its strings. A bound, to keep the time linear."""


class Prose(NamedTuple):
    """Text that means what it says."""

    text: str


class Kept(NamedTuple):
    """A code fence, inline code or a quotation: talk about markup, not markup."""

    text: str
    is_inline: bool


class Block(NamedTuple):
    """What stands between a tag and its closing tag; an unclosed block goes to the end of the text."""

    tag: str
    text: str
    is_closed: bool


Piece = Prose | Kept | Block


class Recovery(msgspec.Struct, frozen=True):
    """The calls that a text held, and the text without them."""

    calls: tuple[ToolCall, ...]
    rest: str


def clean(text: str) -> str:
    """The text without thoughts and calls, at most one blank line between paragraphs, no white space around it."""
    return _without_blocks(pieces(text)) if _needs_reading(text) else text.strip()


def recover_calls(text: str, known: Collection[str], taken: Container[str]) -> Recovery:
    """The calls of `known` tools that the text holds as markup.

    A call is JSON `{name, arguments}` or a bare name; what is neither is dropped with its block, and so is a block that
    is not closed, since half of it may be missing. `taken` are the ids of calls that the conversation holds.
    """
    if not _needs_reading(text):
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
    """The text from left to right, whole, but for the tags of blocks."""
    paragraph = _Paragraph(text)
    told = at = 0
    # Whether the line of `told` holds nothing but white space and blocks: it starts anew once they are gone.
    is_fresh = True
    while mark := _next_mark(text, at, at_line_start=is_fresh and at == told):
        start, at = mark.span()
        if mark.lastgroup in {"tag", "piped"}:
            before = text[told:start]
            is_fresh = not before.rpartition("\n")[2].strip() and (is_fresh or "\n" in before)
            piece, at = _block(text, mark)
        elif end := _end_of_kept(text, mark, paragraph):
            before = text[told:start]
            is_fresh = False
            piece, at = Kept(text[start:end], is_inline=mark.lastgroup == "ticks"), end
        else:
            continue
        if before:
            yield Prose(before)
        yield piece
        told = at
    if told < len(text):
        yield Prose(text[told:])


def _needs_reading(text: str) -> bool:
    """Most texts hold no block and no gap, and need not be cut into pieces."""
    return "\n\n\n" in text or bool(re.search(_BLOCK, text))


# Every repetition is possessive, or is bounded by what it can't match, so that no start costs more than it consumes.
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


def _end_of_kept(text: str, mark: re.Match[str], paragraph: _Paragraph) -> int | None:
    """Where the fence, the quotation or the inline code ends that begins at `mark`; `None` if it is none."""
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
"""Columns that a closing fence may be indented more than its opening one (CommonMark, 'Fenced code blocks')."""


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
    """Where runs of backticks stand in the paragraph that is being read: inline code never leaves its paragraph.

    Each paragraph is looked through once, or a text of unclosed runs would be read once for each of them.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._runs: dict[int, list[int]] = {}

    def end_of_code(self, start: int, length: int) -> int | None:
        """The end of the inline code that opens at `start` with `length` backticks: after the next run as long."""
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
    """The block that `mark` opens, and where it ends."""
    tag = mark[mark.lastgroup or 0].lower()
    if mark[0].endswith("/>"):
        return Block(tag, "", is_closed=True), mark.end()
    closings = _closing_tag(tag, mark.lastgroup == "piped").finditer(text, mark.end())
    first = next(closings, None)
    if first is None:
        return Block(tag, text[mark.end() :], is_closed=False), len(text)
    closing = first
    if tag in CALL_TAGS and text[mark.end() : first.start()].lstrip().startswith("{"):
        tried = (first, *itertools.islice(closings, MAX_CLOSINGS - 1))
        closing = next((end for end in tried if _is_json(text[mark.end() : end.start()])), first)
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
    """The name and the arguments of a call: its JSON, or nothing but its name."""
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
                # Joined before gaps are folded: a block may have stood in the middle of one.
                prose.append(text)
            case Kept(text):
                parts += (re.sub(_GAP, "\n\n", "".join(prose)), text)
                prose.clear()
            case Block():
                pass
    parts.append(re.sub(_GAP, "\n\n", "".join(prose)))
    return "".join(parts).strip()
