"""A tool call in one line, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.observability.terminal_text import one_line
from trioworker.orchestrator.readable_events import readable_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_WIDTH = 40
CHANGES = ("old_string", "new_string", "content", "edits")
"""Arguments that contain a file's text. The result shows it as a diff."""


def call_text(data: Mapping[str, Any]) -> str:
    """The arguments of a `tool_use` event: a command unchanged, and no file contents."""
    text = readable_arguments(str(data.get("input") or ""))
    if text.startswith("path="):
        for name in CHANGES:
            text = text.partition(f"  {name}=")[0]
    return text.removeprefix("command=").removeprefix("path=").strip()


def tool_name(data: Mapping[str, Any]) -> str:
    """The name of the tool of an event, safe to print."""
    return one_line(str(data.get("tool_name") or ""), NAME_WIDTH)
