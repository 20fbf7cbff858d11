"""Finds thoughts and calls that a model wrote as text, as opposed to text about them.

One scanner splits the text, from left to right, into pieces: prose, verbatim text and blocks. Cleaning drops the
blocks, and recovery reads the calls in them. Both use the same pieces: a quoted call is neither run nor removed.

The time is linear in the length of the text: no part is read more than a fixed number of times.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from trioworker.worker.llm.loose_json import read_values
from trioworker.worker.llm.verbatim import ANYWHERE, AT_LINE_START
from trioworker.worker.llm.verbatim import Verbatim as VerbatimText

if TYPE_CHECKING:
    from collections.abc import Iterator

THOUGHTS = frozenset({"think", "thinking", "thought", "reasoning", "analysis"})
"""The blocks that contain thoughts: tags, and the channel of `<|channel|>analysis` (contract, 'Text rules')."""

CALLS = frozenset(
    {"tool_call", "tool_calls", "function_call", "function_calls", "function", "invoke", "deepseek", "json", "channel"}
)
"""The blocks that contain calls. Besides tags: a bare `<function=…>` or `<invoke …>`, DeepSeek's tokens, JSON after
`[TOOL_CALLS]` or `<|python_tag|>`, and a `<|channel|>` with a recipient."""

MAX_CLOSINGS = 8
"""How many closing tags are tried for one call, since strings in its JSON may contain some. Bounds the time."""


class Prose(NamedTuple):
    """Ordinary text."""

    text: str


class Verbatim(NamedTuple):
    """A code fence, inline code or a quotation, in which tags have no meaning."""

    text: str


class Block(NamedTuple):
    """The text between a tag and its closing tag; of a bare `function`, `invoke` or `channel`, with the opening one.

    An unclosed block extends to the end of the text. A block with a tag of neither set is a mark without meaning.
    """

    tag: str
    text: str
    is_closed: bool


class ThoughtEnd(NamedTuple):
    """A closing tag of a thought without its opening tag: all the text before it was a thought."""

    text: str


Piece = Prose | Verbatim | Block | ThoughtEnd


def pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of the text, from left to right. Together they are the text without the tags of blocks."""
    verbatim = VerbatimText(text)
    has_channels = "<|channel|>" in text
    yielded = at = 0
    # Whether only whitespace and blocks precede `yielded` in its line: without them, a line starts there.
    is_fresh = True
    while mark := _next_mark(text, at, at_line_start=is_fresh and at == yielded):
        start, at = mark.span()
        if mark.lastgroup in {"fence", "quote", "ticks"}:
            end = verbatim.end(mark)
            if end is None:
                continue
            piece, at, is_block = Verbatim(text[start:end]), end, False
        elif mark.lastgroup is None or (mark.lastgroup == "token" and not has_channels):
            continue
        else:
            (piece, at), is_block = _block(text, mark), True
        before = text[yielded:start]
        is_fresh = is_block and not before.rpartition("\n")[2].strip() and (is_fresh or "\n" in before)
        if before:
            yield Prose(before)
        yield piece
        is_fresh = is_fresh or isinstance(piece, ThoughtEnd)
        yielded = at
    if yielded < len(text):
        yield Prose(text[yielded:])


def has_markup(text: str) -> bool:
    """Whether the text may contain a block. Most texts don't."""
    return bool(re.search(_HINT, text))


# See `verbatim.py` for the form of these patterns.
_THOUGHT_TAGS = "think|thinking|thought|reasoning"
_CALL_TAGS = "tool_calls?|function_calls?"
_TAGS = f"{_THOUGHT_TAGS}|{_CALL_TAGS}"
_NAMESPACE = r"(?:[\w-]++:)?+"
_DEEPSEEK = "tool\u2581calls\u2581"
_BAR = "[|\uff5c]"
_CHANNEL = r"(?:<\|start\|>[^<]*+)?+<\|channel\|>(?P<channel>[^<]*+)(?:<\|constrain\|>[^<]*+)?+<\|message\|>"
_LISTED = r"\[TOOL_CALLS\](?=\s*+(?:[\[{]|[\w.-]++\s*+[\[{]))"
_HINT = rf"(?i)</?{_NAMESPACE}(?:{_TAGS}|function=|invoke\s)|<\|/?(?:{_TAGS}|channel|python_tag)|\[TOOL_|{_DEEPSEEK}"
_LINE_START = rf"(?m){AT_LINE_START}"
_MARK = (
    rf"(?im)^{AT_LINE_START}|{ANYWHERE}"
    rf"|<{_NAMESPACE}(?P<tag>{_TAGS})(?:[\s/][^<>]*+)?>|<\|(?P<piped>{_TAGS})(?:\s[^<>|]*+)?\|>"
    rf"|</{_NAMESPACE}(?P<ended>{_THOUGHT_TAGS})\s*+>|<\|/(?P<piped_ended>{_THOUGHT_TAGS})\|>"
    rf"|(?P<function><function=[^<>]*+>)|(?P<invoke><{_NAMESPACE}invoke\s++name=[^<>]*+>)"
    rf"|(?P<deepseek><{_BAR}{_DEEPSEEK}begin{_BAR}>)|(?P<json>{_LISTED}|<\|python_tag\|>)"
    rf"|{_CHANNEL}|(?P<token><\|(?:start\|>\w*+|(?:end|return|call)\|>))"
)
_ENDS = {
    "function": r"(?i)</function\s*+>",
    "invoke": rf"(?i)</{_NAMESPACE}invoke\s*+>",
    "deepseek": rf"<{_BAR}{_DEEPSEEK}end{_BAR}>",
    "json": r"<\|(?:eom_id|eot_id|im_end)\|>|(?=\[TOOL_CALLS\]|<\|python_tag\|>)",
    "channel": r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)",
}
"""Where the blocks without a closing tag of the usual form end. `json` and `channel` also end with the text."""
_RECIPIENT = r"\bto="


def _next_mark(text: str, at: int, *, at_line_start: bool) -> re.Match[str] | None:
    return (re.compile(_LINE_START).match(text, at) if at_line_start else None) or re.compile(_MARK).search(text, at)


def _block(text: str, mark: re.Match[str]) -> tuple[Piece, int]:
    """The block that `mark` opens, and the offset after it."""
    match mark.lastgroup:
        case "ended" | "piped_ended":
            return ThoughtEnd(""), mark.end()
        case "tag" | "piped" as group:
            return _tagged(text, mark, mark[group].lower(), is_piped=group == "piped")
        case "channel" if re.search(_RECIPIENT, mark[0]):
            return _ended(text, mark.start(), mark.end(), "channel", can_be_open=True)
        case "channel" if mark["channel"].strip().lower().startswith("analysis"):
            block, end = _ended(text, mark.end(), mark.end(), "channel", can_be_open=True)
            return block._replace(tag="analysis"), end
        case "channel" | "token":
            return Block("mark", "", is_closed=True), mark.end()
        case "function" | "invoke" as tag:
            return _ended(text, mark.start(), mark.end(), tag)
        case tag:
            return _ended(text, mark.end(), mark.end(), str(tag), can_be_open=tag == "json")


def _ended(text: str, start: int, opened: int, tag: str, *, can_be_open: bool = False) -> tuple[Block, int]:
    """A block from `start`, whose end is looked for from `opened`."""
    closing = re.compile(_ENDS[tag]).search(text, opened)
    if closing is None:
        return Block(tag, text[start:], is_closed=can_be_open), len(text)
    return Block(tag, text[start : closing.start()], is_closed=True), closing.end()


def _tagged(text: str, mark: re.Match[str], tag: str, *, is_piped: bool) -> tuple[Block, int]:
    if mark[0].endswith("/>"):
        return Block(tag, "", is_closed=True), mark.end()
    closings = _closing_tag(tag, is_piped).finditer(text, mark.end())
    first = next(closings, None)
    if first is None:
        return Block(tag, text[mark.end() :], is_closed=False), len(text)
    closing = first
    if tag in CALLS and text[mark.end() : first.start()].lstrip().startswith(("{", "[")):
        candidates = (first, *itertools.islice(closings, MAX_CLOSINGS - 1))
        closing = next((end for end in candidates if _is_json(text[mark.end() : end.start()])), first)
    return Block(tag, text[mark.end() : closing.start()], is_closed=True), closing.end()


@functools.cache
def _closing_tag(tag: str, is_piped: bool) -> re.Pattern[str]:
    return re.compile(rf"<\|/{tag}\|>" if is_piped else rf"</{_NAMESPACE}{tag}\s*+>", re.IGNORECASE)


def _is_json(written: str) -> bool:
    try:
        read_values(written)
    except ValueError:
        return False
    return True
