"""Jobs as the orchestrator shows them."""

from __future__ import annotations

from typing import Any

from trioworker.orchestrator.views import JobView, Usage


def job_view(**fields: Any) -> JobView:
    """A running job, changed by `fields`."""
    defaults: dict[str, Any] = {
        "id": "1",
        "title": "t",
        "description": "d",
        "project_dir": None,
        "state": "in_progress",
        "iteration": 2,
        "status": None,
        "created": 0.0,
        "ended": None,
        "report": None,
        "usage": Usage(),
    }
    return JobView(**defaults | fields)
