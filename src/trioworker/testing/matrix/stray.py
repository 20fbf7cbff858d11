"""Exceptions that reach no task: in finalizers, and in async generators that nobody closed."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trioworker.testing.matrix.errors import StrayError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_LOGGERS = ("trio.async_generator_errors", "trio.abc.Instrument")
"""Where trio logs exceptions that it can't raise."""


class _Handler(logging.Handler):
    def __init__(self, found: Callable[[str, BaseException | None], object]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found(record.getMessage(), record.exc_info[1] if record.exc_info else None)


@contextmanager
def collected_stray_errors() -> Generator[list[StrayError]]:
    """Collect the stray exceptions of one run. The garbage that it left is collected at the end."""
    errors: list[StrayError] = []

    def found(context: str, cause: BaseException | None) -> None:
        error = StrayError(f"{type(cause).__name__}: {cause} ({context})" if cause else context)
        error.__cause__ = cause
        errors.append(error)

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        context = unraisable.err_msg or f"exception ignored in {unraisable.object!r}"
        found(context, unraisable.exc_value)

    before, sys.unraisablehook = sys.unraisablehook, hook
    handler = _Handler(found)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield errors
        gc.collect()
    finally:
        sys.unraisablehook = before
        for logger in loggers:
            logger.removeHandler(handler)


@contextmanager
def separated_garbage() -> Generator[None]:
    """Exclude what exists already from garbage collections in the block: they are fast, and find only a run's garbage.

    None starts by itself: it would take a sixth of the time, and call finalizers at a different moment in each run.
    Coroutines that are never awaited become errors.
    """
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    is_frozen = gc.get_freeze_count() > 0
    if not is_frozen:
        gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="coroutine .* was never awaited", category=RuntimeWarning)
            yield
    finally:
        if not is_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()
