"""A set of patterns that RE2 searches for in one pass."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class PatternSet:
    """Finds which of many patterns (RE2 syntax) match anywhere in a text.

    `re` would try each pattern at each offset. An RE2 set is one automaton for all patterns, which takes 2 ms for 1 MB.
    Keep the patterns small: the automaton grows with the product of counted repetitions.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        # Imported at first use, since that takes 5 ms. RE2 has no type hints.
        re2: Any = import_module("re2")
        self._set = re2.Set.SearchSet()
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matching(self, data: bytes) -> list[int]:
        """The indexes of the patterns that match in the UTF-8 text `data`, ascending."""
        indexes: list[int] | None = self._set.Match(data)
        return sorted(indexes or ())
