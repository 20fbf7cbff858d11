"""A unified diff of an edit, for people who watch the job."""

from __future__ import annotations

import difflib
import re

from trioworker.protocol.limits import DIFF_PREVIEW_BYTES
from trioworker.worker.redaction.secret_kinds import KINDS
from trioworker.worker.redaction.secrets import marker

MAX_COMPARED_LINES = 400
"""Lines between the first and the last change that are compared: comparing takes quadratic time."""
CONTEXT_LINES = 3
"""Unchanged lines around a change, as in `diff -u`."""
KEY_MARK = "PRIVATE KEY"
"""What the first and the last line of any private key contain."""


def unified_diff(path: str, before: str, after: str) -> str:
    """The change of a file as `diff -u` shows it, at most `DIFF_PREVIEW_BYTES` long; empty if nothing changed.

    It is cut at a line end, so that no secret is cut in half before it is redacted. Private keys are redacted before,
    since a hunk may have only their middle; no change within one is shown. In a large change all lines between the
    first and the last changed one are shown as removed and added.
    """
    old, new = _without_keys(before).splitlines(), _without_keys(after).splitlines()
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    start = max(first - CONTEXT_LINES, 0)
    lead, trail = old[start:first], old[len(old) - last :][:CONTEXT_LINES]
    removed, added = old[first : len(old) - last], new[first : len(new) - last]
    if not removed and not added:
        return ""
    if max(len(removed), len(added)) <= MAX_COMPARED_LINES:
        ends = (lead + removed + trail, lead + added + trail)
        lines = list(difflib.unified_diff(*ends, lineterm="", n=CONTEXT_LINES))[2:]
        lines = [_moved(line, start) for line in lines]
    else:
        counts = (len(lead) + len(trail) + len(removed), len(lead) + len(trail) + len(added))
        lines = [f"@@ -{start + 1},{counts[0]} +{start + 1},{counts[1]} @@"]
        lines += [f" {line}" for line in lead] + [f"-{line}" for line in removed]
        lines += [f"+{line}" for line in added] + [f" {line}" for line in trail]
    diff = "\n".join([f"--- {path}", f"+++ {path}", *lines]).encode("utf-8", "replace")
    if len(diff) > DIFF_PREVIEW_BYTES:
        diff = diff[: diff.rfind(b"\n", 0, DIFF_PREVIEW_BYTES + 1)]
    return diff.decode()


def _without_keys(text: str) -> str:
    """The text with a redaction mark in place of each line of a private key, so that lines keep their numbers."""
    for kind in KINDS:
        if kind.name.endswith("_private_key") and KEY_MARK in text:
            data = text.encode("utf-8", "surrogatepass")
            mark = marker(kind.name)
            parts: list[bytes] = []
            reached = 0
            for start, end in kind.find(data):
                parts += [data[reached:start], re.sub(rb"[^\n]+", mark, data[start:end])]
                reached = end
            text = b"".join([*parts, data[reached:]]).decode("utf-8", "surrogatepass")
    return text


def _common(one: list[str], other: list[str]) -> int:
    """The number of lines at the start that both have."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _moved(line: str, by: int) -> str:
    """A line of a diff, with the line numbers of a hunk's header increased."""
    if not line.startswith("@@"):
        return line
    return re.sub(r"([-+])(\d+)", lambda found: f"{found[1]}{int(found[2]) + by}", line)
