"""What a search left out, and why: a model that finds nothing must know where it did not look."""

from __future__ import annotations

from trioworker.protocol.text import truncate

MAX_NAMES = 3
"""Names per reason; the others are only counted."""
MAX_NAME_BYTES = 200

NOT_ENTERED = frozenset({"node_modules", "target", ".git", "__pycache__", "venv", ".venv"})
"""Folders that are listed and not entered (contract, 'Tools'): large, and made by programs."""

FOLDERS = "folders not entered, since git ignores them or a program made them (to enter one, give it as path)"
IGNORED_FILES = "files not searched, since git ignores them (to search one, give it as path)"
BINARY_FILES = "files not searched, since they are binary"
UNREADABLE = "not searched, since it can't be read"


class Skipped:
    """Counts what was left out, by reason, and keeps the first names."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._notes: list[str] = []

    def add(self, reason: str, name: str) -> None:
        """Note one file or folder."""
        names = self._names.setdefault(reason, [])
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if len(names) < MAX_NAMES:
            names.append(truncate(name, MAX_NAME_BYTES))

    def note(self, text: str) -> None:
        """Note what concerns the whole search."""
        self._notes.append(text)

    def report(self) -> list[str]:
        """One line for each reason."""
        return [*(self._line(reason, names) for reason, names in self._names.items()), *self._notes]

    def _line(self, reason: str, names: list[str]) -> str:
        others = self._counts[reason] - len(names)
        return f"{reason}: {', '.join(names)}" + (f" and {others} more" if others else "")
