"""Keeps redaction marks from being written to a file, where they would replace the secrets that they stand for."""

from __future__ import annotations

import re
from collections import Counter

from trioworker.errors import ToolError


def check_marks(before: str, after: str, shown: str) -> None:
    """Check that a file's new content has no more redaction marks (`[REDACTED:kind]`) than the old one.

    A file may already contain marks, as documentation does: each may occur as often as before. `shown` names the
    file in the error.

    Raises:
        ToolError: a mark occurs more often than before.
    """
    if added := _marks(after) - _marks(before):
        raise ToolError(
            f"cannot write {shown}: {next(iter(added))} is a placeholder that would overwrite the secret; edit other "
            "lines with apply_patch, or change the value with a command that doesn't print it"
        )


def first_mark(text: str) -> str:
    """The first redaction mark in a text, empty if there is none."""
    return next(iter(_marks(text)), "")


def _marks(text: str) -> Counter[str]:
    if "[REDACTED:" not in text:
        return Counter()
    return Counter(re.findall(r"\[REDACTED:[a-z0-9_]+\]", text))
