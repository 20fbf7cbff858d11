"""Text from tools and models, made safe for a terminal: no control sequence of theirs may drive it."""

from __future__ import annotations

import re

# Whole sequences first, so that their parameters don't stay as litter: CSI, OSC and other strings, then two-byte ones.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
# What is left: C0 but tab and line end, DEL, C1, lone surrogates, and the marks that reorder what is read.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` without control sequences and control characters; tabs and line ends stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def one_line(text: str, width: int) -> str:
    """`text` printable, on one line, `width` characters at the most."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
