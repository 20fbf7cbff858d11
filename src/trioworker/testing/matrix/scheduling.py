"""Makes the order in which trio runs ready tasks depend on a seed only."""

from __future__ import annotations

import importlib
from typing import Any


def seed_scheduling(seed: int) -> None:
    """Make trio's task order depend on the seed. There is no public way; trio's Hypothesis support does the same."""
    internals: Any = importlib.import_module("trio._core._run")
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
