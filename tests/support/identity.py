"""The id, token and URL of the simulated orchestrator's job, for tests that need no orchestrator."""

from __future__ import annotations

from trioworker.testing import SimulatedOrchestrator

JOB_ID = SimulatedOrchestrator.job_id
TOKEN = SimulatedOrchestrator.token
URL = SimulatedOrchestrator.url
