"""Finds the blocks of private keys, even if a tool numbered, indented, escaped or cut them.

A block extends from its BEGIN line to its END line. If one of them is missing, the extent is an estimate: an unclosed
block ends after a number of lines, and an END line without its BEGIN hides the base64 lines before it.
"""

from __future__ import annotations

import bisect
import re
import string
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Span = tuple[int, int]
"""Start and end of a secret, in bytes."""

MAX_UNCLOSED_LINES = 100
"""Lines that a PEM block without its END hides, the BEGIN included (contract, `pem_private_key`)."""
MIN_KEY_LINE = 40
"""Minimum base64 characters of a line that is certainly a key's; PEM has 64 to a line, OpenSSH 70, OpenPGP 64 or 76."""
MAX_SHORT_LINES = 2
"""Number of shorter lines at the end of a key: the rest of its data, and OpenPGP's checksum."""
MAX_BYTES_BEFORE_END = 16 * 1024
"""Bytes before an END that are searched for the key's lines: more than the largest keys have."""

_BASE64 = f"{string.ascii_letters}{string.digits}+/".encode()
_LINE_BREAK = rb"\n|\\n"
"""In a JSON string, a line break is a backslash and an `n`; in one that was escaped twice, more backslashes."""


def key_blocks(label: bytes, max_unclosed_lines: int | None = None) -> Callable[[bytes], Iterable[Span]]:
    """A finder of key blocks, in order and without overlaps.

    `label` is the pattern of what follows BEGIN and END. A block without its END has `max_unclosed_lines` lines, or
    extends to the end of the text.
    """
    # A pattern that starts with a literal is searched for many times faster than one that starts with alternatives.
    pattern = rb"-----(?:(BEGIN)|END)" + label

    def find(data: bytes) -> Iterator[Span]:
        cuts = [
            match.span() for match in re.compile(rb"\[[0-9]+ bytes of the output were dropped here\]").finditer(data)
        ]
        opened = last_begin = None
        reached = 0
        for mark in re.compile(pattern).finditer(data):
            if mark.lastindex:
                if opened is not None and last_begin is not None:
                    end = _end_of_unclosed(data, last_begin, mark.start(), max_unclosed_lines)
                    if end < mark.start():
                        yield opened, end
                        opened, reached = None, end
                opened = mark.start() if opened is None else opened
                last_begin = mark.start()
                continue
            if opened is None:
                opened = _start_of_cut_block(data, reached, mark.start(), cuts)
            if opened is not None:
                yield opened, mark.end()
            opened = None
            reached = mark.end()
        if opened is not None and last_begin is not None:
            yield opened, _end_of_unclosed(data, last_begin, len(data), max_unclosed_lines)

    return find


def _end_of_unclosed(data: bytes, begin: int, limit: int, max_lines: int | None) -> int:
    if max_lines is None:
        return limit
    breaks = re.compile(_LINE_BREAK).finditer(data, begin, limit)
    last = next(islice(breaks, max_lines - 1, None), None)
    return limit if last is None else last.start()


def _start_of_cut_block(data: bytes, reached: int, end_mark: int, cuts: list[Span]) -> int | None:
    """Where the block that ends at `end_mark` starts, if it has no BEGIN after `reached`; None if unknown.

    If a tool cut off its beginning, it extends from the cut; otherwise, it consists of the base64 before the END.
    """
    index = bisect.bisect_left(cuts, (end_mark, 0)) - 1
    # In a text that was redacted before, a mark replaces the block that the cut belongs to.
    if index >= 0 and cuts[index][0] >= reached and data.find(b"_private_key]", cuts[index][1], end_mark) < 0:
        return cuts[index][1]
    start, position, short_lines = None, end_mark, 0
    pieces = re.split(rb"(\n|\\[nr])", data[max(reached, end_mark - MAX_BYTES_BEFORE_END) : end_mark])
    # Lines at even indexes, breaks at odd ones. The last line is what precedes the END on its own line.
    for number, piece in enumerate(reversed(pieces)):
        position -= len(piece)
        line = piece.rstrip(b"\r\\\"', \t").rstrip(b"=")
        if number == 0 and not _is_prefix(piece):
            break
        if number == 0 or number % 2 or not line:
            continue
        head = line.rstrip(_BASE64)
        if len(line) - len(head) < MIN_KEY_LINE:
            short_lines += 1
            if short_lines > MAX_SHORT_LINES or len(head) == len(line) or not _is_prefix(head):
                break
        start = position + len(head)
    return start


def _is_prefix(head: bytes) -> bool:
    """Whether a line's text before its base64 is only an indentation, a line number, or grep's `path:12:`."""
    if not head.strip(b" \t0123456789:=>|\"'-"):
        return True
    number = head[:-1].rstrip(string.digits.encode())
    return head[-1:] in b":-" and len(number) < len(head) - 1 and number[-1:] in b":-"
