"""What the actors of one job work with, besides the job itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.actors.publisher import Events
    from trioworker.cassette.tape import Tape
    from trioworker.client import OrchestratorClient
    from trioworker.config import WorkerConfig
    from trioworker.containment.wall import Wall
    from trioworker.observe.spans import Tracer
    from trioworker.safety.layer import SafetyLayer
    from trioworker.tools.paths import Workspace
    from trioworker.tools.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The collaborators that an actor gets; `environment` is that of the tools' processes, and `wall` confines them.

    `tape` is told what is recorded, where a job is.
    """

    config: WorkerConfig
    client: OrchestratorClient
    registry: Registry
    safety: SafetyLayer
    events: Events
    workspace: Workspace
    environment: Mapping[str, str]
    wall: Wall
    tracer: Tracer
    tape: Tape | None = None
