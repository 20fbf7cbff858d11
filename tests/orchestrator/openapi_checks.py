"""Checks responses of the orchestrator against its `/openapi.json`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    import httpx


class DocumentedAnswers:
    """A hook of an httpx client: each response must be as the document says.

    Attributes:
        seen: the operations and statuses of the responses so far.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int]] = set()
        self._components = _closed(document["components"])

    async def check(self, response: httpx.Response) -> None:
        """Check the status, the media type and the body."""
        await response.aread()
        operation = self._operation(response.request)
        self.seen.add((operation["operationId"], response.status_code))
        described = operation["responses"][str(response.status_code)].get("content", {})
        if not described:
            assert response.content == b"", response.text
            return
        media_type = response.headers["content-type"].partition(";")[0]
        schema = described[media_type]["schema"]
        match media_type:
            case "application/json":
                self.validate(response.json(), schema)
            case "text/event-stream":
                self._validate_events(response.text)
            case _:
                assert response.text.strip()
                assert "\n" not in response.text

    def validate(self, value: object, schema: dict[str, Any]) -> None:
        """Raise an error unless the value matches the schema and has no field that it doesn't name."""
        validator: Any = Draft202012Validator({**schema, "components": self._components})
        validator.validate(value)

    def statuses(self) -> set[tuple[str, int]]:
        """All operations and statuses of the document."""
        operations = [one for item in self.document["paths"].values() for one in item.values()]
        return {(one["operationId"], int(status)) for one in operations for status in one["responses"]}

    def _operation(self, request: httpx.Request) -> dict[str, Any]:
        for path, item in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path) and request.method.lower() in item:
                return item[request.method.lower()]
        raise AssertionError(f"{request.method} {request.url.path} is not in the document")

    def _validate_events(self, text: str) -> None:
        blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
        assert blocks[-1]["event"] == "end"
        for block in blocks:
            name = "JobView" if block["event"] == "end" else "StoredEvent"
            self.validate(msgspec.json.decode(block["data"]), {"$ref": f"#/components/schemas/{name}"})


def _closed(schema: Any) -> Any:
    """The schema with no additional properties, except in objects whose properties it doesn't know."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(inner) for name, inner in cast("dict[str, Any]", schema).items()}
    return (
        {"additionalProperties": False, **closed}
        if closed.get("type") == "object" and "properties" in closed
        else closed
    )
