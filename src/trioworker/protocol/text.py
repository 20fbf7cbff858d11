"""The contract's text rules: truncation, and the signal of completion."""

from __future__ import annotations

import re

MAX_BYTES_OF_A_CHARACTER = 4
"""The maximum in UTF-8. A text that fits even at this rate need not be encoded to measure it."""

CURLY_APOSTROPHE = "\u2019"
"""Models write it in place of the ASCII apostrophe."""

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
"""Phrases that signal completion (contract, `vectors/completion.json`)."""

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
"""Phrases that revoke it, in the same sentence or a later one (contract, `vectors/completion.json`)."""


def truncate(text: str, limit: int) -> str:
    """The text, or its longest prefix of whole characters within `limit` bytes of UTF-8, and `...`."""
    if len(text) * MAX_BYTES_OF_A_CHARACTER <= limit:
        return text
    # At most `limit` characters fit into `limit` bytes; one more shows whether the text is longer.
    data = text[: limit + 1].encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "ignore") + "..."


def signals_completion(text: str) -> bool:
    """Whether a sentence contains a completion phrase, and neither it nor a later sentence contains a denial."""
    plain = text.replace(CURLY_APOSTROPHE, "'").replace("*", "")
    if not _contains(plain, COMPLETION_PHRASES):
        return False
    for sentence in reversed(re.split(_SENTENCE_END, plain)):
        if _contains(sentence, COMPLETION_DENIALS):
            return False
        if _contains(sentence, COMPLETION_PHRASES):
            return True
    return False


def _contains(text: str, phrases: tuple[str, ...]) -> bool:
    words = " ".join(text.casefold().split())
    return bool(words) and any(phrase in words for phrase in phrases)


# A line that starts with a lower-case letter continues the sentence of the line before.
_SENTENCE_END = r"[.!?](?=[\"')\]]*(?:\s|$))|\n(?![ \t]*[a-z])"
