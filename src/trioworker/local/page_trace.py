"""The worker's trace, from which the page of `local --web` draws its timeline."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.local.config import LocalConfig

TRACE_OPTION = "--trace="


class PageTrace(msgspec.Struct, frozen=True):
    """The trace file, if there is one, and additional worker options that make the worker write it."""

    file: Path | None
    options: tuple[str, ...] = ()


@contextmanager
def page_trace(config: LocalConfig) -> Generator[PageTrace]:
    """The trace file that the user named, or with `--web` a temporary one, which is deleted on exit."""
    named = next((option for option in config.worker_options if option.startswith(TRACE_OPTION)), None)
    if named is not None:
        yield PageTrace(Path(named.removeprefix(TRACE_OPTION)))
    elif not config.web:
        yield PageTrace(None)
    else:
        with tempfile.TemporaryDirectory(prefix="trioworker-") as folder:
            file = Path(folder) / "trace.json"
            yield PageTrace(file, (f"{TRACE_OPTION}{file}",))
