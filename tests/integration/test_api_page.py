"""docs/api.md is true: its commands work, and it names each request, field and status of the API."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
import pytest
import trio

from orchestrator.serving import ADMIN_TOKEN, orchestrator
from support.model import ScriptedModel
from trioworker import Metrics, WorkerConfig, run_job
from trioworker.orchestrator.openapi_routes import ERRORS, ROUTES
from trioworker.orchestrator.views import JobView, NewJobRequest, StoredEvent
from trioworker.protocol.event_data import EVENT_DATA, EventData
from trioworker.testing import DONE

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


class Example(NamedTuple):
    """A command, and the response that the page shows after it."""

    command: str
    response: str


def examples() -> tuple[str, list[Example]]:
    """The shell code that defines `api`, and the commands that use it."""
    blocks = re.findall(r"^```sh\n(.*?)^```\n(?:\n```(?:json|text)\n(.*?)^```)?", PAGE, re.MULTILINE | re.DOTALL)
    (setup, _), *others = blocks
    return setup, [Example(*other) for other in others]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_commands_of_the_page_work(workspace: Path) -> None:
    setup, (create, prompt, follow, show) = examples()
    async with orchestrator(ScriptedModel([DONE, DONE])) as server:
        setup = re.sub("API=.*", f"API={server.url}", re.sub("SECRET=.*", f"SECRET={ADMIN_TOKEN}", setup))

        async def output(command: str) -> str:
            ended = await trio.run_process(["sh", "-euc", setup + command], capture_stdout=True, capture_stderr=True)
            assert ended.stderr == b""
            return ended.stdout.decode()

        job = msgspec.json.decode(await output(create.command))
        check(job, msgspec.json.decode(create.response))
        setup += f"JOB={job['id']}\n"
        assert await output(prompt.command) == ""
        config = WorkerConfig(job_id=job["id"], token=job["token"], orchestrator_url=server.url, workspace=workspace)
        assert (await run_job(config)).success
        check(msgspec.json.decode(await output(show.command)), msgspec.json.decode(show.response))
        followed = server_sent(await output(follow.command))
        events = {event["event"]: event for event in followed}
        for shown in server_sent(follow.response):
            check(events[shown["event"]], shown)
        assert "Run the linter as well." in {event["data"].get("data", {}).get("content") for event in followed}


def server_sent(text: str) -> list[dict[str, Any]]:
    """The fields of each server-sent event; `data` is decoded."""
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [{**event, "data": msgspec.json.decode(event["data"])} for event in events]


def check(real: object, shown: object) -> None:
    """Each shown field is in the response, with a value of the same type."""
    assert type(real) is type(shown)
    if isinstance(shown, dict):
        for name, value in cast("dict[str, Any]", shown).items():
            check(cast("dict[str, Any]", real)[name], value)


def rows(heading: str) -> dict[str, str]:
    """The rows of a section's last table, by their first column."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([^|]+?) \| (.*) \|$", section, re.MULTILINE))


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(struct)}


def missing(names: Iterable[str], text: str) -> list[str]:
    """The names that the text doesn't have as code."""
    return [name for name in names if f"`{name}`" not in text]


def test_page_names_each_route() -> None:
    requests = {f"{route.method} {route.path.replace('{job_id}', 'ID')}" for route in ROUTES}
    assert [request for request in requests if request not in PAGE and request != "GET /health"] == []
    assert "`/health`" in PAGE


def test_page_has_each_status_of_an_error() -> None:
    assert [int(status) for status in rows("Errors") if status.isdigit()] == list(ERRORS)


def test_page_names_each_field_of_a_job() -> None:
    section = PAGE.partition("\n## Managing jobs\n")[2].partition("\n## ")[0].replace('"', "`")
    assert missing(fields(NewJobRequest) | fields(JobView), section) == []


def test_page_names_each_field_of_each_event() -> None:
    table = rows("Events")
    assert missing(fields(EventData), table["all"]) == []
    for event_type, data in EVENT_DATA.items():
        assert missing(fields(data) - fields(EventData), table[f"`{event_type}`"]) == []
    assert missing(fields(StoredEvent) | fields(Metrics), PAGE) == []
