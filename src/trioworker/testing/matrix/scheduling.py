"""Makes the order in which trio runs ready tasks depend only on a seed."""

from __future__ import annotations

import importlib
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


def seed_scheduling(seed: int) -> None:
    """Make trio's task order depend on the seed. There is no public API; trio's Hypothesis support does the same."""
    internals = _internals()
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)


@contextmanager
def restored_scheduling() -> Generator[None]:
    """Restore trio's scheduling and the state of `random` at the end of the block."""
    internals = _internals()
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING
    state_of_trio, state = internals._r.getstate(), random.getstate()
    try:
        yield
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before
        internals._r.setstate(state_of_trio)
        random.setstate(state)


def _internals() -> Any:
    return importlib.import_module("trio._core._run")
