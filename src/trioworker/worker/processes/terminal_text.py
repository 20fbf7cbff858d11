"""Converts the output of a command to text, as a terminal would show it at the end.

Escape sequences are removed. Lines that the program rewrote with carriage returns, backspaces or "erase line", such as
progress bars, are shown in their last state. Binary output is replaced by `binary, N bytes`. The conversion takes
linear time, and little memory besides the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 16 * 1024
"""Bytes, extended to the end of the line, that are classified together as text or as binary."""
MAX_CONTROL_SHARE, MAX_STRANGE_SHARE = 0.1, 0.35
"""Maximum share of control characters in a text, and of these and invalid UTF-8 together. In compressed data, they are
about 0.55 of the bytes; in a few words of Latin-1 text, up to 0.3.
"""


def terminal_text(data: bytes) -> str:
    """The text of a command's output, whose lines end with `\\n`."""
    parts: list[str] = []
    binary = 0
    for block in _blocks(data):
        text = block.decode(errors="replace")
        if _is_binary(block, text):
            binary += len(block)
            continue
        if binary:
            parts.append(f"binary, {binary} bytes\n")
            binary = 0
        parts.append(_shown(text))
    if binary:
        parts.append(f"binary, {binary} bytes")
    return "".join(parts)


def _blocks(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + BLOCK_BYTES - 1) + 1 or len(data)
        yield data[start:end]
        start = end


def _is_binary(block: bytes, text: str) -> bool:
    controls = len(block) - len(block.translate(None, _NEVER_IN_TEXT))
    strange = controls + text.count("\ufffd")
    return controls > len(block) * MAX_CONTROL_SHARE or strange > len(block) * MAX_STRANGE_SHARE


def _shown(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if _CONTROL.search(text) is None and _MOVE.search(text) is None:
        return text
    plain = _CONTROL.sub(_replacement, text)
    return "\n".join(map(_last_state, plain.split("\n"))) if _MOVE.search(plain) else plain


def _replacement(control: re.Match[str]) -> str:
    """The effect of a control sequence within its line; empty for all others, such as colours."""
    if control[0] == "\0":
        # A list for `xargs -0`: without a separator, its items would become one word.
        return "\n"
    match control["final"], control["parameters"]:
        case "K", "" | "0":
            return _ERASE_REST
        case "K", "2":
            return _ERASE_LINE
        case "D", "" | "1":
            return "\b"
        case ("G", "" | "0" | "1") | ("D", _):
            return "\r"
        case _:
            return ""


def _last_state(line: str) -> str:
    line = line.rstrip("\r")
    if _MOVE.search(line) is None:
        return line
    cells: list[str] = []
    position = start = 0
    for move in _MOVE.finditer(line):
        position = _write(cells, position, line[start : move.start()])
        start = move.end()
        match move[0]:
            case "\b":
                position = max(position - 1, 0)
            case "\r":
                position = 0
            case _:
                if move[0] == _ERASE_LINE:
                    position = 0
                del cells[position:]
    _write(cells, position, line[start:])
    return "".join(cells).rstrip()


def _write(cells: list[str], position: int, text: str) -> int:
    end = position + len(text)
    cells[position:end] = text
    return end


_NEVER_IN_TEXT = bytes({*range(32)} - {*b"\a\b\t\n\v\f\r\x0e\x0f\x1b"})
_ERASE_REST, _ERASE_LINE = "\x01", "\x02"
"""Stand for "erase to the end of the line" and "erase the line"; in the output itself, these are removed first."""
_MOVE = re.compile("[\b\r\x01\x02]")
# ECMA-48, 5.4 (CSI) and 8.3 (OSC, DCS, SOS, PM and APC, up to their terminator), and ISO 2022 (character sets).
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)(?P<parameters>[0-?]*+)[ -/]*+(?P<final>[@-~])?"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*+[0-~]?"
    r"|[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)
