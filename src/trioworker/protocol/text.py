"""What a model's text says, and where to cut it: is the job done, or is a tool announced and not called?

What stands between tags is the matter of `markup.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trioworker.worker.llm.call_markup import Block, Kept, pieces
from trioworker.worker.redaction.pattern_set import LazyPattern

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_BYTES_OF_A_CHARACTER = 4
"""UTF-8 needs no more; a text that is short enough at this rate fits without a look at its bytes."""

CURLY_APOSTROPHE = "\u2019"
"""Models write it for the plain one."""

COMPLETION_PHRASES = (
    "job is complete",
    "job is done",
    "job is finished",
    "task is complete",
    "task is done",
    "task is finished",
    "work is complete",
    "work is done",
    "work is finished",
    "successfully completed",
    "have completed the job",
    "have completed the task",
    "have finished the job",
    "have finished the task",
    "all steps are complete",
    "all steps are done",
    "i have completed",
    "i've completed",
    "all done",
    "all tasks complete",
)
"""What says that the job is done (contract, `vectors/completion.json`)."""

COMPLETION_DENIALS = (
    "not complete",
    "not done",
    "not finished",
    "incomplete",
    "unfinished",
    "isn't done",
    "isn't complete",
    "isn't finished",
    "not yet done",
    "not yet complete",
    "not yet finished",
)
"""What takes it back, in the same sentence or in a later one (contract, `vectors/completion.json`)."""

LAST_WORDS = 1000
"""Characters of a text's end that may announce a call: it is the last thing that is said, and short."""


def truncate(text: str, limit: int) -> str:
    """The text, or its longest prefix of whole characters within `limit` bytes of UTF-8, and `...`."""
    if len(text) * MAX_BYTES_OF_A_CHARACTER <= limit:
        return text
    # No more characters than bytes can fit; one more tells whether something is cut.
    data = text[: limit + 1].encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "ignore") + "..."


def signals_completion(text: str) -> bool:
    """Whether a sentence says that the job is done, and neither it nor a later one denies it."""
    plain = text.replace(CURLY_APOSTROPHE, "'").replace("*", "")
    if not _holds(plain, COMPLETION_PHRASES):
        return False
    for sentence in reversed(_SENTENCE_END.compiled.split(plain)):
        if _holds(sentence, COMPLETION_DENIALS):
            return False
        if _holds(sentence, COMPLETION_PHRASES):
            return True
    return False


def talks_of_calling(text: str, known: Collection[str]) -> bool:
    """Whether the text announces a call of a tool (one of `known`, or by what it does) and leaves it at that.

    Some models write 'I will now run the tests' and stop. A nudge helps them, but a nudge at a report or a question
    spoils a turn; so this is narrow: the last paragraph, and a clause that opens with an intention and a tool's verb.
    Quotations, code, conditions ('I will run it if you want') and questions don't count.
    """
    last_words = _spoken(text)[-LAST_WORDS:].replace(CURLY_APOSTROPHE, "'").strip()
    paragraph = _PARAGRAPH.compiled.split(_QUOTED.compiled.sub("it", last_words))[-1]
    if paragraph.endswith("?"):
        return False
    return any(_announces(sentence, known) for sentence in _SENTENCE.compiled.split(paragraph))


def _holds(text: str, phrases: tuple[str, ...]) -> bool:
    words = " ".join(text.casefold().split())
    return bool(words) and any(phrase in words for phrase in phrases)


# A line that goes on in lower case is the same sentence, wrapped.
_SENTENCE_END = LazyPattern(r"[.!?](?=[\"')\]]*(?:\s|$))|\n(?![ \t]*[a-z])")


def _spoken(text: str) -> str:
    """The text without what it quotes; a name in inline code is a word of its sentence."""
    spoken: list[str] = []
    for piece in pieces(text):
        match piece:
            case Kept(code, is_inline=True):
                name = code.strip("` ")
                spoken.append("it" if " " in name else name)
            case Kept() | Block():
                # The paragraph before it has ended.
                spoken.append("\n\n")
            case _:
                spoken.append(piece.text)
    return "".join(spoken)


_QUOTED = LazyPattern(r'"[^"\n]*"|\u201c[^\u201d\n]*\u201d')
_PARAGRAPH = LazyPattern(r"\n[ \t]*+\n")
_SENTENCE = LazyPattern(r"(?<=[.!?:;])\s+|\n")
_CONDITION = LazyPattern(
    r"\b(?:if|unless|once|whenever|until|after|in case|as soon as|let me know|(?:would|do|should|could|can) you"
    r"|you can)\b",
    re.IGNORECASE,
)
_OPENING = (
    r"(?:(?:okay|ok|alright|all right|great|good|perfect|sure|right|well|now|next|first|then|so|and|but|also|finally)"
    r"[,.!:]?\s+|(?:the )?next step(?: is|,)?\s+|[-*#\d.)]+\s+)*"
)
_SUBJECT = (
    r"(?:i will|i'll|i am going to|i'm going to|i am about to|i'm about to|i need to|i must|let me|let us|let's"
    r"|we'll|we will)"
)
_MANNER = (
    r"(?:(?:now|next|first|then|also|just|quickly|again|simply|immediately|need to|have to|try to|start by|begin by"
    r"|start with|proceed to|continue to|go ahead and|take a|have a|do a|use that to)\s+)*"
)
_VERB = (
    r"(?:run|execut|call|invok|read|open|look|check|inspect|list|search|grep|write|creat|edit|patch|updat|fix|modify"
    r"|appl|add|view|examin|explor|test|build|install|find|delet|remov|commit|see what|verify|implement|rerun|re-run)"
    r"(?:e|y|ing|ning|ting|ding|ying)?\b"
)
_INTENTION = LazyPattern(
    rf"^{_OPENING}(?:{_SUBJECT}\s+{_MANNER}(?P<verb>{_VERB}|us(?:e|ing)\b)|(?P<doing>calling|running|executing|using|reading)\b)",
    re.IGNORECASE,
)
_CLAUSE = LazyPattern(r",\s+|\s+(?:-|\u2013|\u2014)\s+|\s+(?=(?:so|then|but)\s)|(?<!go ahead)\s+(?=and\s)")


def _announces(sentence: str, known: Collection[str]) -> bool:
    if sentence.endswith("?") or _CONDITION.compiled.search(sentence):
        return False
    names = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence) for name in known)
    for clause in _CLAUSE.compiled.split(sentence):
        intention = _INTENTION.compiled.match(clause)
        if not intention:
            continue
        if intention["verb"] and (names or not intention["verb"].lower().startswith("us")):
            return True
        # 'Running the tests …' may open a report; with a tool's name, or trailing off, it is an announcement.
        if intention["doing"] and (names or clause.rstrip().endswith(("...", "\u2026", ":"))):
            return True
    return False
