"""What a cancel matrix found."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SHOWN = 5
"""Failures that the message of an error describes."""


class CancelMatrixError(AssertionError):
    """Some runs of a cancel matrix failed."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that failed.

    Attributes:
        number: the checkpoint, from 0; None for a run without a cancel.
        task: the name of the task that was at the checkpoint.
        file: the file of the checkpoint: the innermost frame outside of trio.
        line: its line.
        error: what is wrong.
        repeat: the line that repeats the run.
    """

    number: int | None
    task: str
    file: str
    line: int
    error: BaseException
    repeat: str

    def __str__(self) -> str:
        where = "without a cancel" if self.number is None else f"checkpoint {self.number}"
        at = f", task {self.task}, {self.file}:{self.line}" if self.file else ""
        return f"{where}{at}: {self.error!r}\n  repeat: {self.repeat}"


@dataclass(frozen=True, kw_only=True)
class CancelMatrixReport:
    """The result of a cancel matrix.

    Attributes:
        checkpoints: how many there are in the run without a cancel.
        failures: the runs that failed.
    """

    checkpoints: int
    failures: tuple[Failure, ...] = ()

    def raise_if_failed(self) -> None:
        """Raise if a run failed.

        Raises:
            CancelMatrixError: describes the first failures.
        """
        if self.failures:
            shown = "\n".join(map(str, self.failures[:MAX_SHOWN]))
            count = f"{len(self.failures)} of {self.checkpoints} checkpoints failed"
            raise CancelMatrixError(f"{count}:\n{shown}") from self.failures[0].error
