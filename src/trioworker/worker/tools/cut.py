"""Cuts results to their limit between lines. Texts are redacted first, since a cut could leave half of a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.protocol.text import MAX_BYTES_OF_A_CHARACTER

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_SHARE = 0.5
"""The minimum share of its room that a head or tail of whole lines fills; otherwise, a long line is cut within."""
GAP_BYTES = 256
"""Bytes reserved for the line in the middle, whatever the length of its path: a replay must cut at the same place."""
ELLIPSIS = "..."
"""Marks where a line is cut."""

LAST_LINES_BYTES = 3072
"""Bytes of a result that searches reserve for their last lines: what was skipped, and the number of matches."""


def fits(text: str, limit: int) -> bool:
    """Whether the text has at most `limit` bytes of UTF-8."""
    if len(text) * MAX_BYTES_OF_A_CHARACTER <= limit:
        return True
    return len(text) <= limit and len(text.encode("utf-8", "replace")) <= limit


def cut_middle(text: str, limit: int, remark: str) -> str:
    """The head and the tail of a text that doesn't fit into `limit` bytes.

    Between them is one line with `remark` and the number of lines left out, or of bytes within a line.
    """
    data = text.encode("utf-8", "replace")
    gap = "\n[{} left out" + (f"; {remark}" if remark else "") + "]\n"
    used = len(gap.encode()) + len(f"{len(data)} bytes of a line") + 2 * len(ELLIPSIS)
    room = max(limit - max(used, GAP_BYTES), 0)
    head = data[: room - room // 2]
    end = head.rfind(b"\n")
    if end >= len(head) * MIN_SHARE:
        head, before = head[:end], ""
    else:
        head, before = head.decode(errors="ignore").encode(), ELLIPSIS
    tail = data[len(data) - room // 2 :]
    # A newline that is the last byte of the text starts no line.
    start = tail.find(b"\n", 0, len(tail) - 1) + 1
    if data[len(data) - len(tail) - 1 : len(data) - len(tail)] == b"\n":
        after = ""
    elif start and len(tail) - start >= len(tail) * MIN_SHARE:
        tail, after = tail[start:], ""
    else:
        tail, after = tail.decode(errors="ignore").encode(), ELLIPSIS
    middle = data[len(head) : len(data) - len(tail)]
    lines = middle.count(b"\n") - (not before and not after)
    left_out = f"{lines} line{'' if lines == 1 else 's'}" if lines else f"{len(middle)} bytes of a line"
    return head.decode() + before + gap.format(left_out) + after + tail.decode()


def first_lines(lines: Iterable[str], limit: int) -> list[str]:
    """As many lines from the start as fit into `limit` bytes, newlines included."""
    shown: list[str] = []
    for line in lines:
        limit -= len(line.encode("utf-8", "replace")) + 1
        if limit < 0:
            break
        shown.append(line)
    return shown
