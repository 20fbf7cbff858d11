"""The contract's text rules: cutting a text, and whether it signals completion."""

from __future__ import annotations

import re

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
    for sentence in reversed(re.split(_SENTENCE_END, plain)):
        if _holds(sentence, COMPLETION_DENIALS):
            return False
        if _holds(sentence, COMPLETION_PHRASES):
            return True
    return False


def _holds(text: str, phrases: tuple[str, ...]) -> bool:
    words = " ".join(text.casefold().split())
    return bool(words) and any(phrase in words for phrase in phrases)


# A line that continues in lower case is the same sentence, wrapped.
_SENTENCE_END = r"[.!?](?=[\"')\]]*(?:\s|$))|\n(?![ \t]*[a-z])"
