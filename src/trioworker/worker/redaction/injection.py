"""Injection markers: which text of a tool's output reads like instructions to the model.

A marked text is neither changed nor withheld, since a file may well discuss prompts. The marker lets the safety layer
tell the model that the text is data. The patterns are narrow: markers on ordinary code would teach it to ignore them.
"""

from __future__ import annotations

import functools

from trioworker.worker.redaction.pattern_set import PatternSet

# The start of a line. In JSON, a line break is a backslash and an `n`, and a text starts with a quote.
_LINE = r'(?:^|[\n"]|\\n)[ \t>*#-]*'
_START = r"(?:\b|\\[nrt])"
_WORDS = r"(?:[a-z]+[ \t]+){0,3}"
_SOURCE = r"(?:previous|prior|above|earlier|preceding|former)"
_ORDERS = r"(?:instruction|prompt|direction|rule|guideline|directive)s?"
_NEW = r"(?:new|updated|real|actual|true)"
_IMPERATIVE = r"(?:ignore|disregard|forget|never|always|do not|don't|from now on|you (?:are|must|will|should|may|can))"

PATTERNS = {
    "ignore_instructions": (
        rf"{_START}(?:ignore|disregard|forget|override)\s+{_WORDS}{_SOURCE}\s+{_WORDS}{_ORDERS}\b"
        rf"|{_START}(?:ignore|disregard|forget)\s+(?:all|any|your|every|these|those)\s+(?:of\s+)?(?:your\s+|the\s+)?{_ORDERS}\b"
        rf"|{_START}(?:ignore|disregard|forget)\s+(?:everything|all)\s+(?:that\s+)?(?:above|before|you(?:'ve|\s+have|\s+were)|i\s+said)\b"
    ),
    "role_marker": (
        r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text)\|>"
        r"|(?-i:\[/?INST\]|<</?SYS>>)|<(?:start|end)_of_turn>"
    ),
    "system_line": rf"{_LINE}\[?(?:system|developer)(?:\s+(?:message|prompt|note))?\]?[ \t]*:[*\s]*{_IMPERATIVE}\b",
    "new_identity": (
        rf"{_START}you\s+are\s+(?:now|no\s+longer)\s+(?:an?|the|in|my|bound|dan|acting|operating)\b"
        rf"|{_START}from\s+now\s+on,?\s+you\s+(?:are|will|must|shall|should)\b"
        rf"|{_START}(?:act|behave|respond)\s+as\s+(?:if\s+you\s+(?:were|are|have)\s+)?(?:an?\s+)?(?:unrestricted|jailbroken|unfiltered|uncensored|dan\b)"
    ),
    "new_instructions": (
        rf"{_LINE}(?:your\s+|the\s+)?{_NEW}\s+(?:system\s+)?(?:instructions|prompt|objective)(?:\s+(?:is|are))?[ \t]*:"
        rf"|{_START}your\s+{_NEW}\s+(?:instructions|task|goal|objective|orders)\s+(?:is|are)\b"
    ),
    "prompt_disclosure": (
        rf"{_START}(?:reveal|print|output|repeat|show|send|disclose|leak)\s+(?:me\s+|us\s+)?your\s+(?:full\s+|entire\s+)?(?:system|hidden|initial|original|secret)\s+(?:prompt|instructions|message)"
    ),
    "concealment": (
        rf"{_START}(?:do\s+not|don't|never)\s+(?:tell|inform)\s+the\s+(?:user|human|operator)\b"
        rf"|{_START}(?:do\s+not|don't|never)\s+(?:mention|reveal|disclose)\s+(?:this|these|it|any\s+of\s+this)\s+(?:\w+\s+)?to\s+(?:the\s+user|the\s+human|anyone)\b"
    ),
}
"""The patterns by name. They ignore case."""


def marks(text: str) -> tuple[str, ...]:
    """The names of the patterns that match in the text; for nearly every text, none."""
    names = tuple(PATTERNS)
    return tuple(names[index] for index in _patterns().matching(text.encode("utf-8", "replace")))


@functools.cache
def _patterns() -> PatternSet:
    return PatternSet(f"(?i)(?:{pattern})" for pattern in PATTERNS.values())
