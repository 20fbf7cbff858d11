"""Jobs and events in the form that the page renders: messages as Markdown trees, tool output with its tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.orchestrator.event_streams import sse
from trioworker.orchestrator.readable_events import arguments_of, readable_output
from trioworker.orchestrator.web.markdown import MAX_CHARACTERS, markdown_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.orchestrator.views import JobView, PromptView, StoredEvent


def encode_for_page(event: StoredEvent) -> bytes:
    """The event as a server-sent event of type `job-event`."""
    return sse("job-event", msgspec.json.encode(page_event(event)), event.number)


def page_event(event: StoredEvent) -> dict[str, Any]:
    """The event with its texts ready to show. `tokens` is the job's total so far."""
    data = dict(event.data)
    if event.event_type == "message":
        data["tree"] = markdown_tree(str(data.get("content") or ""))
    elif event.event_type == "tool_use":
        data["arguments"] = arguments_of(str(data.get("input") or ""))
    elif event.event_type == "tool_result":
        data["output"] = readable_output(data)
    return {
        "number": event.number,
        "type": event.event_type,
        "at": event.at,
        "tokens": event.usage.input_tokens + event.usage.output_tokens,
        "data": data,
    }


def page_job(job: JobView, prompts: Sequence[PromptView], *, is_local: bool) -> dict[str, Any]:
    """The job with its follow-ups, and its answer as a Markdown tree. `local` is whether it runs in this process."""
    answer = job.report.message if job.report is not None else None
    # Sent again with each change, so a task of megabytes is cut. The download has the whole.
    rest = len(job.description) - MAX_CHARACTERS
    return {
        **msgspec.structs.asdict(job),
        "description": job.description
        if rest <= 0
        else f"{job.description[:MAX_CHARACTERS]}… ({rest} more characters)",
        "prompts": prompts,
        "answer": markdown_tree(answer) if answer else None,
        "local": is_local,
    }
