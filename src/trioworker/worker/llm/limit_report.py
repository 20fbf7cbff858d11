"""The report of a job that reached one of its limits: the reason, and the last text of the model."""

from __future__ import annotations

from trioworker.worker.llm.call_markup import clean

TIMED_OUT = "Execution timed out"
"""The reason of a job that reached its deadline (contract, 'A job, in order')."""


def limit_report(reason: str, text: str) -> str:
    """The reason, a blank line and the model's text without its thoughts; only the reason if there is no text."""
    written = clean(text)
    return f"{reason}\n\n{written}" if written else reason
