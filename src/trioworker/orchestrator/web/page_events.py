"""Events in the form that the page renders: messages as Markdown trees, tool output with its tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.orchestrator.event_streams import sse
from trioworker.orchestrator.readable_events import readable_output
from trioworker.orchestrator.web.markdown import markdown_tree

if TYPE_CHECKING:
    from trioworker.orchestrator.views import StoredEvent


def encode_for_page(event: StoredEvent) -> bytes:
    """The event as a server-sent event of type `job-event`."""
    return sse("job-event", msgspec.json.encode(page_event(event)), event.number)


def page_event(event: StoredEvent) -> dict[str, Any]:
    """The event with its texts ready to show. `tokens` is the job's total so far."""
    data = dict(event.data)
    if event.event_type == "message":
        data["tree"] = markdown_tree(str(data.get("content") or ""))
    elif event.event_type == "tool_result":
        data["output"] = readable_output(data)
    return {
        "number": event.number,
        "type": event.event_type,
        "at": event.at,
        "tokens": event.usage.input_tokens + event.usage.output_tokens,
        "data": data,
    }
