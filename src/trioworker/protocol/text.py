"""The contract's text rules: truncation, and the signals of completion and of failure."""

from __future__ import annotations

import re

MAX_BYTES_OF_A_CHARACTER = 4
"""The maximum in UTF-8. A text that fits even at this rate need not be encoded to measure it."""

CURLY_APOSTROPHE = "\u2019"
"""Models write it in place of the ASCII apostrophe."""

AGREED_PHRASES = (
    "job is complete",
    "job is done",
    "job is finished",
    "task is complete",
    "task is done",
    "task is finished",
    "work is complete",
    "work is done",
    "work is finished",
)
"""Completion phrases that an announced next step doesn't revoke (contract, `vectors-next/completion.json`)."""

COMPLETION_PHRASES = (
    *AGREED_PHRASES,
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
"""Phrases that signal completion (contract, `vectors-next/completion.json`)."""

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
"""Phrases that revoke it, in the same sentence or a later one (contract, `vectors-next/completion.json`)."""

NEXT_STEPS = (
    "next i will",
    "next, i will",
    "next i'll",
    "next, i'll",
    "i will now",
    "i'll now",
    "then i will",
    "then i'll",
    "now i will",
    "let me now",
    "moving on to",
)
"""Phrases that announce more work. In a later sentence, they revoke any phrase that isn't an agreed one."""

FAILURE_PHRASES = (
    "job cannot be completed",
    "job can't be completed",
    "task cannot be completed",
    "task can't be completed",
    "unable to complete the job",
    "unable to complete the task",
    "job cannot be done",
    "job can't be done",
)
"""Phrases that signal failure, in the last sentence (contract, `vectors-next/completion.json`)."""

OTHER_WAYS = ("so i'll", "so i will", "instead i")
"""Phrases that announce another attempt in the sentence that says what failed."""


def truncate(text: str, limit: int) -> str:
    """The text, or its longest prefix of whole characters within `limit` bytes of UTF-8, and `...`."""
    if len(text) * MAX_BYTES_OF_A_CHARACTER <= limit:
        return text
    # At most `limit` characters fit into `limit` bytes; one more shows whether the text is longer.
    data = text[: limit + 1].encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "ignore") + "..."


def truncate_words(text: str, limit: int) -> str:
    """The text with one space between words, or as many whole words as `truncate` leaves, and `...`.

    Redaction recognizes no part of a secret: so this is for text that is truncated before.
    """
    # No more words than that fit into `limit` bytes.
    flat = " ".join(text.split(maxsplit=limit))
    shown = truncate(flat, limit)
    return flat if shown == flat else shown[: shown.rfind(" ") + 1].rstrip() + "..."


def signals_completion(text: str) -> bool:
    """Whether a sentence contains a completion phrase, and nothing in it or after it revokes that.

    A denial revokes any phrase, in the same sentence or a later one. A next step in a later sentence revokes only
    phrases that aren't agreed ones.
    """
    plain = _plain(text)
    if not _contains(plain, COMPLETION_PHRASES):
        return False
    continues = False
    for sentence in reversed(_sentences(plain)):
        if _contains(sentence, COMPLETION_DENIALS):
            return False
        if _contains(sentence, AGREED_PHRASES if continues else COMPLETION_PHRASES):
            return True
        continues = continues or _contains(sentence, NEXT_STEPS)
    return False


def signals_failure(text: str) -> bool:
    """Whether the last sentence says that the job can't be completed, and announces no other attempt."""
    plain = _plain(text)
    if not _contains(plain, FAILURE_PHRASES):
        return False
    last = next(sentence for sentence in reversed(_sentences(plain)) if re.search(r"\w", sentence))
    return _contains(last, FAILURE_PHRASES) and not _contains(last, NEXT_STEPS + OTHER_WAYS)


def says_only_that_it_is_complete(text: str) -> bool:
    """Whether every sentence is an agreed phrase, such as "The job is complete."."""
    sentences = [sentence for sentence in _sentences(_plain(text)) if re.search(r"\w", sentence)]
    return bool(sentences) and all(re.fullmatch(_AGREED_SENTENCE, _words(sentence)) for sentence in sentences)


def _plain(text: str) -> str:
    return text.replace(CURLY_APOSTROPHE, "'").replace("*", "")


def _sentences(plain: str) -> list[str]:
    return re.split(_SENTENCE_END, plain)


def _contains(text: str, phrases: tuple[str, ...]) -> bool:
    words = _words(text)
    return bool(words) and any(phrase in words for phrase in phrases)


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


# A line that starts with a lower-case letter continues the sentence of the line before.
_SENTENCE_END = r"[.!?](?=[\"')\]]*(?:\s|$))|\n(?![ \t]*[a-z])"
_AGREED_SENTENCE = rf"\W*+(?:(?:the|this) )?(?:{'|'.join(AGREED_PHRASES)})\W*+"
