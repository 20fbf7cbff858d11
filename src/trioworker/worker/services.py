"""What the actors of one job work with, besides the job itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import trio

    from trioworker.observability.recording import RecordingTracer
    from trioworker.worker.client.orchestrator_client import OrchestratorClient
    from trioworker.worker.config import WorkerConfig
    from trioworker.worker.processes.sandbox.sandbox import Sandbox
    from trioworker.worker.recording_hooks import RecordingHooks
    from trioworker.worker.redaction.safety_layer import SafetyLayer
    from trioworker.worker.state.events import Events
    from trioworker.worker.tools.kept_outputs import KeptOutputs
    from trioworker.worker.tools.registry import Registry
    from trioworker.worker.tools.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The collaborators of an actor.

    Attributes:
        config: the job's configuration.
        client: the orchestrator.
        registry: the tools by name.
        safety: redaction of everything that leaves a tool.
        events: makes the contract's events.
        workspace: the folder that tools work in.
        outputs: the files with full outputs of tools.
        environment: the environment variables of the tools' processes.
        sandbox: what confines these processes.
        tool_threads: limits the threads of tools. They may hang, and must not starve the journal of threads.
        tracer: where spans go.
        recorder: what records the job as a cassette, if it is recorded.
    """

    config: WorkerConfig
    client: OrchestratorClient
    registry: Registry
    safety: SafetyLayer
    events: Events
    workspace: Workspace
    outputs: KeptOutputs
    environment: Mapping[str, str]
    sandbox: Sandbox
    tool_threads: trio.CapacityLimiter
    tracer: RecordingTracer
    recorder: RecordingHooks | None = None
