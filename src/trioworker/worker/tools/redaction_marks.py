"""Redaction marks are never written to a file: there they would replace the secrets that they stand for."""

from __future__ import annotations

import re
from collections import Counter

from trioworker.errors import ToolError


def check_marks(before: str, after: str, shown: str) -> None:
    """Check that a file's new content has no redaction mark (`[REDACTED:kind]`) that the old one lacks.

    A file may contain marks of its own, as documentation does: each may occur as often as before. `shown` names the
    file in the error.

    Raises:
        ToolError: a mark occurs more often than before.
    """
    if added := _marks(after) - _marks(before):
        raise ToolError(
            f"cannot write {shown}: {next(iter(added))} stands for a secret that is not shown, and would replace it; "
            "edit other lines by apply_patch, or change the value by a command that doesn't show it"
        )


def first_mark(text: str) -> str:
    """The first redaction mark in a text, empty if there is none."""
    return next(iter(_marks(text)), "")


def _marks(text: str) -> Counter[str]:
    if "[REDACTED:" not in text:
        return Counter()
    return Counter(re.findall(r"\[REDACTED:[a-z0-9_]+\]", text))
