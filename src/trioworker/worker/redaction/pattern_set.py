"""Many patterns searched for in one pass, by RE2."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class PatternSet:
    """Tells which of many patterns (RE2 syntax) match anywhere in a text.

    Python's `re` tries each pattern at each place; an RE2 set is one automaton for all, and takes 2 ms for 1 MB. Keep
    the patterns small: the automaton of counted repetitions grows with their product.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        # Imported at first use, since loading it takes 5 ms. RE2 has no type hints.
        re2: Any = import_module("re2")
        self._set = re2.Set.SearchSet()
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matching(self, data: bytes) -> list[int]:
        """The indexes of the patterns that match in the UTF-8 text `data`, ascending."""
        indexes: list[int] | None = self._set.Match(data)
        return sorted(indexes or ())
