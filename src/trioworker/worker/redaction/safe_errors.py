"""Removes secrets from exceptions that leave the package.

A program that embeds a job may log an exception in a way that shows the values of variables in each frame, as loguru
does by default. Our frames hold the token, credentials and responses that contain them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trioworker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class HiddenValues(dict[str, str]):
    """A dictionary whose `repr` shows only the keys."""

    def __repr__(self) -> str:
        return f"<{len(self)} values: {', '.join(self)}>"


class SafeErrors:
    """Raises each `WorkerError` of the block with redacted texts and without the frames that it came through.

    Its causes are kept in the same way. The message of a `WorkerError` says what failed and where, so no frame is
    missed. Other exceptions are defects, or the caller's, and pass unchanged.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, WorkerError):
            return
        for each in _chain(error):
            each.__traceback__ = None
            each.args = tuple(_redacted(value, self._redact) for value in each.args)
        # Returning would raise it with its old frames.
        raise error


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, its causes, and the members of groups among them."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        waiting += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
    return found


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    # `UnicodeDecodeError` holds the whole text that it was raised for.
    return b"" if isinstance(value, bytes | bytearray) else value
