"""Patterns that cost nothing until a text comes: compiled at first use, for the start of the program counts.

A regular expression takes 0.1 to 1 ms to compile, and RE2 takes 5 ms to load; a worker has dozens of patterns and needs
none before the first reply of the model.
"""

from __future__ import annotations

import functools
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class LazyPattern:
    """A regular expression of Python's own `re`, under `compiled`."""

    def __init__(self, source: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._source = source
        self._flags = flags

    @functools.cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, the same at each use."""
        return re.compile(self._source, self._flags)


class PatternSet:
    """Many patterns (RE2 syntax) looked for in one pass: which of them match anywhere in a text?

    Python's `re` tries each pattern at each place; an RE2 set is one automaton for all, and takes 2 ms for 1 MB. Keep
    the patterns small: the automaton of counted repetitions grows with their product.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        # RE2 has no type hints.
        re2: Any = import_module("re2")
        self._set = re2.Set.SearchSet()
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matching(self, data: bytes) -> list[int]:
        """The indexes of the patterns that match in the UTF-8 text `data`, ascending."""
        indexes: list[int] | None = self._set.Match(data)
        return sorted(indexes or ())
