"""What identifies the job of the simulated orchestrator, for tests that need no orchestrator."""

from __future__ import annotations

from trioworker.testing import SimulatedOrchestrator

JOB_ID = SimulatedOrchestrator.job_id
TOKEN = SimulatedOrchestrator.token
URL = SimulatedOrchestrator.url
