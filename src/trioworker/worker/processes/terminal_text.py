"""Converts the output of a command to text, as a terminal would show it at the end.

Escape sequences are removed. Lines that the program rewrote with carriage returns, backspaces or "erase line", such as
progress bars, are shown in their last state. Binary output is replaced by `binary, N bytes`. The conversion takes
linear time, and little memory besides the text.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 16 * 1024
"""Bytes, extended to the end of the line, that are classified together as text or as binary."""
MAX_CONTROL_SHARE, MAX_STRANGE_SHARE = 0.1, 0.35
"""Maximum share of control characters in a text, and of these and invalid UTF-8 together. In compressed data, they are
about 0.55 of the bytes; in a few words of Latin-1 text, up to 0.3.
"""
MAX_MOVES = 100_000
"""Moves of a line that are carried out, the last ones: a progress bar shows all that matters again and again."""


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
    if _CONTROL.search(text) is None:
        return text
    # NUL separates the items of a list for `xargs -0`, which would become one word without a separator.
    plain = text.replace("\0", "\n").replace("\x9b", _CSI)
    for sequences, move in _SEQUENCES:
        plain = sequences.sub(move, plain)
    return "\n".join(map(_last_state, plain.split("\n"))) if _MOVES.search(plain) else plain


def _last_state(line: str) -> str:
    line = line.rstrip("\r")
    if _MOVES.search(line) is None:
        return line
    line = _after_early_moves(line)
    cells: list[str] = []
    position = start = 0
    for moves in _MOVES.finditer(line):
        position = _write(cells, position, line[start : moves.start()])
        start = moves.end()
        match moves[1]:
            case "\b":
                position = max(position - len(moves[0]), 0)
            case "\r":
                position = 0
            case _:
                if moves[1] == _ERASE_LINE:
                    position = 0
                del cells[position:]
    _write(cells, position, line[start:])
    return "".join(cells).rstrip()


def _after_early_moves(line: str) -> str:
    """The line, or what follows all but its last `MAX_MOVES` moves."""
    if len(line) <= MAX_MOVES:
        return line
    early = next(islice(_MOVES.finditer(line[::-1]), MAX_MOVES, None), None)
    return line[len(line) - early.start() :] if early else line


def _write(cells: list[str], position: int, text: str) -> int:
    end = position + len(text)
    cells[position:end] = text
    return end


_NEVER_IN_TEXT = bytes({*range(32)} - {*b"\a\b\t\n\v\f\r\x0e\x0f\x1b"})
_ERASE_REST, _ERASE_LINE = "\x01", "\x02"
"""Stand for "erase to the end of the line" and "erase the line"; in the output itself, these are removed first."""
_MOVES = re.compile("([\b\r\x01\x02])\\1*+")
_CONTROL = re.compile(r"[\x00-\x08\r\x0e-\x1f\x7f-\x9f]")
_CSI = "\x1b["
# ECMA-48, 5.4 (CSI) and 8.3 (OSC, DCS, SOS, PM and APC, up to their terminator), and ISO 2022 (character sets).
# First those that make no move within the line, such as colours; then those that do, each replaced by its move.
_SEQUENCES = [
    (re.compile(sequences), move)
    for sequences, move in (
        (
            r"\x1b\[[0-?]*+[ -/]*+(?![DGK])[@-~]?+"
            r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"
            r"|\x1b(?!\[)[ -/]*+[0-~]?+"
            r"|[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f]",
            "",
        ),
        (r"\x1b\[0?[ -/]*+K", _ERASE_REST),
        (r"\x1b\[2[ -/]*+K", _ERASE_LINE),
        (r"\x1b\[1?[ -/]*+D", "\b"),
        (r"\x1b\[(?:[01]?[ -/]*+G|[0-?]*+[ -/]*+D)", "\r"),
        (r"\x1b\[[0-?]*+[ -/]*+[GK]", ""),
    )
]
