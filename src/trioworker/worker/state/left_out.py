"""The note in place of turns that were left out: what they changed, and what the model said in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.worker.state.compaction import REPEATABLE, one_line

if TYPE_CHECKING:
    from trioworker.protocol import wire

MAX_PATHS_BYTES = 1_000
MAX_STEPS_BYTES = 2_000
"""The maximum lengths of the parts of the note."""
SHOWN_TEXT_BYTES = 100
SHOWN_CALL_BYTES = 80
"""The beginnings of a text and of a call that the note shows."""

_EDITING = frozenset({"write_file", "apply_patch"})
_PATH_NAMES = ("path", "file_path", "filename", "file")
_PATCHED_FILE = r"^\*\*\* (?:Add|Update|Delete) File: *(.+)$"


class LeftOut:
    """The messages that were left out so far; `messages` is their number."""

    def __init__(self) -> None:
        self.messages = 0
        # Ordered; a repeated one moves to the end. What doesn't fit into the note is lost from the start.
        self._paths: dict[str, None] = {}
        self._steps: dict[str, None] = {}

    def add(self, message: wire.Message) -> None:
        """Note a message that is left out, after those before it."""
        self.messages += 1
        if message.role != "assistant":
            return
        if message.content.strip():
            self._note(self._steps, f"You said: {one_line(message.content, SHOWN_TEXT_BYTES)}", MAX_STEPS_BYTES)
        for call in message.tool_calls or ():
            paths = _paths(call.arguments) if call.name in _EDITING else []
            for path in paths:
                self._note(self._paths, path, MAX_PATHS_BYTES)
            if not paths and call.name not in REPEATABLE:
                self._note(self._steps, f"You called {call.name}: {_shown_call(call.arguments)}", MAX_STEPS_BYTES)

    def note(self, limit: int) -> str:
        """The note, about `limit` bytes long at most. Of what the model did, the oldest is missing first."""
        note = f"[{self.messages} earlier messages were left out to save space]"
        if paths := _last(self._paths, min(limit // 3, MAX_PATHS_BYTES)):
            note += f"\nYou called write_file or apply_patch for: {', '.join(paths)}"
        if steps := _last(self._steps, min(limit * 2 // 3, MAX_STEPS_BYTES)):
            note += "\nThe last things that you said and called in them:\n" + "\n".join(steps)
        return note

    def _note(self, lines: dict[str, None], line: str, limit: int) -> None:
        lines.pop(line, None)
        lines[line] = None
        # Every line has a byte or more: enough of them fill the note.
        while len(lines) > limit:
            del lines[next(iter(lines))]


def _last(lines: dict[str, None], limit: int) -> list[str]:
    """The last ones that fit into `limit` bytes."""
    shown: list[str] = []
    for line in reversed(lines):
        limit -= len(line.encode("utf-8", "replace")) + 2
        if limit < 0:
            break
        shown.append(line)
    return shown[::-1]


def _fields(arguments: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}


def _paths(arguments: Any) -> list[str]:
    """The files that a call changes, as far as its arguments name them."""
    fields = _fields(arguments)
    named = [fields[name] for name in _PATH_NAMES if name in fields]
    patched = [
        path
        for name in ("patch", "input")
        if isinstance(fields.get(name), str)
        for path in re.findall(_PATCHED_FILE, fields[name], re.MULTILINE)
    ]
    return [one_line(path, SHOWN_TEXT_BYTES) for path in (*named, *patched) if isinstance(path, str)]


def _shown_call(arguments: Any) -> str:
    fields = _fields(arguments)
    command = next((fields[name] for name in ("command", "cmd") if isinstance(fields.get(name), str)), None)
    return one_line(command or msgspec.json.encode(arguments).decode(), SHOWN_CALL_BYTES)
