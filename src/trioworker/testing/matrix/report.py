"""What a cancel matrix found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from trioworker.testing.matrix.places import Place, SourceLine

MAX_SHOWN = 5
"""Reasons that the message of a `CancelMatrixError` describes."""
MAX_LENGTH = 600
"""Characters of a reason in that message."""


class CancelMatrixError(AssertionError):
    """Some runs of a cancel matrix failed."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that failed.

    Attributes:
        plan: the plan of the run, such as `cancel:37`, for `cancel_matrix(…, only=…)` and `--trio-chaos`.
        number: the checkpoint of the cancel, from 0; None for a run without a cancel.
        task: the name of the task that was at the checkpoint.
        file: the file of the checkpoint: that of the innermost frame outside of trio and the standard library.
        line: its line.
        caller: `file:line` of the innermost frame of your program, if the checkpoint is in an installed library.
        error: what is wrong. Its notes are the other problems of the run.
        repeat: the line that repeats the run.
    """

    plan: str
    number: int | None
    task: str
    file: str
    line: int
    caller: str
    error: BaseException
    repeat: str

    @property
    def place(self) -> str:
        """The checkpoint, for a message."""
        if self.number is None:
            return "without a cancel"
        at = f", {SourceLine(self.file, self.line)}" if self.file else ""
        caller = f" (called from {self.caller})" if self.caller else ""
        return f"checkpoint {self.number}, task {self.task}{at}{caller}"

    @property
    def reason(self) -> str:
        """The error and its notes, for a message."""
        notes: list[str] = getattr(self.error, "__notes__", [])
        return "\n".join([_describe(self.error), *notes])[:MAX_LENGTH]

    def __str__(self) -> str:
        return f"{self.reason}\n  {self.place}\n  repeat: {self.repeat}"


@dataclass(frozen=True, kw_only=True)
class CancelMatrixReport:
    """The result of a cancel matrix.

    Attributes:
        checkpoints: how many checkpoints there are in the run without a cancel.
        runs: how many runs were made.
        failures: the runs that failed.
    """

    checkpoints: int
    runs: int = 0
    failures: tuple[Failure, ...] = ()

    def raise_if_failed(self) -> None:
        """Raise if a run failed.

        Raises:
            CancelMatrixError: describes the first failures, those with the same reason together.
        """
        if self.failures:
            raise CancelMatrixError(str(self)) from self.failures[0].error

    def __str__(self) -> str:
        total = f"{self.checkpoints} checkpoints, {self.runs} runs"
        if not self.failures:
            return f"{total}: none failed"
        groups: dict[str, list[Failure]] = {}
        for failure in self.failures:
            # The address of an object differs in each run.
            groups.setdefault(re.sub(r"0x[0-9a-f]+", "0x…", failure.reason), []).append(failure)
        lines = [f"{total}: {len(self.failures)} failed"]
        lines += [_describe_group(failures) for failures in list(groups.values())[:MAX_SHOWN]]
        if len(groups) > MAX_SHOWN:
            lines.append(f"… and {len(groups) - MAX_SHOWN} other reasons")
        return "\n".join(lines)


def _describe_group(failures: list[Failure]) -> str:
    first, *others = failures
    also = f"\n  and {len(others)} more: {_ranges([failure.plan for failure in others])}" if others else ""
    return f"{first.reason}\n  at {first.place}{also}\n  repeat: {first.repeat}"


def _ranges(plans: list[str]) -> str:
    shown = ", ".join(plans[:MAX_SHOWN])
    return f"{shown}, …" if len(plans) > MAX_SHOWN else shown


def _describe(error: BaseException) -> str:
    """One line: an exception group by its leaves."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(dict.fromkeys(map(_describe, group.exceptions)))
    message = str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def failure_of(plan: str, number: int | None, place: Place | None, error: BaseException, repeat: str) -> Failure:
    """Describe a run that failed."""
    line = place and place.line
    return Failure(
        plan=plan,
        number=number,
        task=place.task if place else "",
        file=line.file if line else "",
        line=line.number if line else 0,
        caller=str(place.caller) if place and place.caller else "",
        error=error,
        repeat=repeat,
    )
