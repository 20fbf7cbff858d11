"""Cleaning a model's text of thoughts and calls, and recovering the calls that it wrote as text."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import msgspec

from trioworker.protocol.text import truncate
from trioworker.protocol.wire import ToolCall
from trioworker.worker.llm.call_forms import Problem, WrittenCall, read_block
from trioworker.worker.llm.markup import CALLS, THOUGHTS, Block, Prose, ThoughtEnd, Verbatim, has_markup, pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator, Sequence

    from trioworker.worker.llm.markup import Piece

NAMESPACE = "functions."
"""The prefix that OpenAI's models write before a tool's name."""
SHOWN_NAME_BYTES = 128


class Recovery(msgspec.Struct, frozen=True):
    """The calls in a text, and the rest of the text.

    Attributes:
        calls: the calls that can be run.
        rest: the text without thoughts and calls.
        problems: what is wrong with each other call.
        has_thoughts: whether the text contains a thought.
    """

    calls: tuple[ToolCall, ...]
    rest: str
    problems: tuple[Problem, ...] = ()
    has_thoughts: bool = False


def clean(text: str) -> str:
    """The text without thoughts and calls, with gaps reduced to one blank line, and stripped."""
    return _without_blocks(_spoken(text)[0]) if _needs_scan(text) else text.strip()


def recover_calls(text: str, known: Collection[str], taken: Container[str]) -> Recovery:
    """Find the calls of `known` tools that the text contains as markup, in any of the forms that models use.

    `taken` are the ids of the calls in the conversation, which are not used again.
    """
    if not _needs_scan(text):
        return Recovery((), text.strip())
    found, has_thoughts = _spoken(text)
    calls: list[ToolCall] = []
    problems: list[Problem] = []
    ids = recovered_ids(taken)
    for written in _written(found):
        match written:
            case WrittenCall(name, arguments) if name.removeprefix(NAMESPACE) in known:
                calls.append(ToolCall(id=next(ids), name=name.removeprefix(NAMESPACE), arguments=arguments))
            case WrittenCall(name):
                shown = truncate(name, SHOWN_NAME_BYTES)
                reason = f"tool '{shown}' not found; the tools are {', '.join(known)}"
                problems.append(Problem(name, reason, is_unknown_tool=True))
            case Problem():
                problems.append(written)
    return Recovery(tuple(calls), _without_blocks(found), tuple(problems), has_thoughts)


def recovered_ids(taken: Container[str]) -> Iterator[str]:
    """Yield `recovered_0`, `recovered_1`, …, without those that are `taken`."""
    return (call_id for call_id in map("recovered_{}".format, itertools.count()) if call_id not in taken)


def _needs_scan(text: str) -> bool:
    """Whether the text contains a block or a gap. Most texts contain neither."""
    return "\n\n\n" in text or has_markup(text)


def _spoken(text: str) -> tuple[Sequence[Piece], bool]:
    """The pieces that aren't thoughts, and whether there were thoughts."""
    found = list(pieces(text))
    thought_ends = [number for number, piece in enumerate(found) if isinstance(piece, ThoughtEnd)]
    after = found[thought_ends[-1] + 1 :] if thought_ends else found
    spoken = [piece for piece in after if not (isinstance(piece, Block) and piece.tag in THOUGHTS)]
    return spoken, len(spoken) < len(found)


def _written(found: Sequence[Piece]) -> Iterator[WrittenCall | Problem]:
    for piece in found:
        if isinstance(piece, Block) and piece.tag in CALLS:
            yield from read_block(piece)


_GAP = r"\n{3,}"


def _without_blocks(found: Sequence[Piece]) -> str:
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
            case Block() | ThoughtEnd():
                pass
    parts.append(re.sub(_GAP, "\n\n", "".join(prose)))
    return "".join(parts).strip()
