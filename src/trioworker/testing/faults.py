"""Faults of the network between a worker and its orchestrator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FaultKind = Literal["refused", "status", "reset-before", "reset-after", "cut", "delay", "garbage"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with a request.

    With `refused`, `reset-before` and `status` the orchestrator doesn't handle it; with the others it does. `delay` is
    the seconds before the answer.
    """

    kind: FaultKind
    status: int = 503
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
