"""The trace that `local --web` has its worker write, for the page's time line."""

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


class Watched(msgspec.Struct, frozen=True):
    """Where the worker writes its trace, if it does, and what it is told for that."""

    file: Path | None
    options: tuple[str, ...] = ()


@contextmanager
def watching(config: LocalConfig) -> Generator[Watched]:
    """The user's own trace, or for the page a temporary one, which is gone when the block ends."""
    own = next((option for option in config.worker_options if option.startswith(TRACE_OPTION)), None)
    if own is not None:
        yield Watched(Path(own.removeprefix(TRACE_OPTION)))
    elif not config.web:
        yield Watched(None)
    else:
        with tempfile.TemporaryDirectory(prefix="trioworker-") as folder:
            file = Path(folder) / "trace.json"
            yield Watched(file, (f"{TRACE_OPTION}{file}",))
