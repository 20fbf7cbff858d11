"""Makes text of tools and models safe for a terminal by removing control sequences."""

from __future__ import annotations

import re

# Whole sequences, so that no parameters remain: CSI, then OSC and other strings, then two-byte sequences.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
# Single characters: C0 except tab and line feed, DEL, C1, lone surrogates, and marks that reorder text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` without control sequences and control characters, except tabs and line feeds."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def one_line(text: str, width: int) -> str:
    """`text` made printable, on one line, truncated to `width` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
