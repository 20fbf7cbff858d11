"""Suggestions for misspelled words: commands, options and the values of options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_SIMILARITY = 0.6
"""The similarity, as difflib counts it, from which a word may be a misspelling of another."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` probably means. Capitals, underscores and numeronyms, such as k8s, are understood."""
    # Only an error needs it, and it takes some milliseconds to import.
    import difflib

    plain = {_plain(each): each for each in known}
    meant = _plain(word)
    if found := re.fullmatch(r"([a-z])([0-9]+)([a-z])", meant):
        first, left_out, last = found.groups()
        lengths = [each for each in plain if len(each) == int(left_out) + 2]
        return next((plain[each] for each in lengths if each[0] == first and each[-1] == last), None)
    similar = difflib.get_close_matches(meant, plain, n=1, cutoff=MIN_SIMILARITY)
    return plain[similar[0]] if similar else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown word: `; did you mean …?`, or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "-").strip("-")
