"""`/openapi.json`: the API as an OpenAPI 3.1 document, generated from the table of routes and the structs."""

from __future__ import annotations

from functools import cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from trioworker.orchestrator.management_access import check_origin
from trioworker.orchestrator.openapi_routes import ANY_JSON, ERRORS, EVENT_STREAM, ROUTES, TEXT, ApiRoute
from trioworker.orchestrator.views import JobView, StoredEvent
from trioworker.protocol.event_data import EVENT_DATA
from trioworker.protocol.values import START_HEADER
from trioworker.protocol.wire import EventPost

if TYPE_CHECKING:
    from starlette.requests import Request

SECURITY = {"secret": "secret", "job token": "jobToken"}
"""The security schemes by access; other routes need none."""
EVENTS = (EventPost, StoredEvent)
"""The structs whose `data` depends on `event_type`."""


def openapi_route() -> Route:
    """The route of the document. It contains no secret, so it needs none; only web pages of other sites are refused."""
    return Route("/openapi.json", _document, methods=["GET"])


async def _document(request: Request) -> Response:
    check_origin(request)
    return Response(_encoded(), media_type="application/json")


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(openapi_document())


def openapi_document() -> dict[str, Any]:
    """The document. Each struct is a component under its name."""
    # It takes milliseconds to import, and few runs need it.
    from importlib.metadata import version

    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    of_type = dict(zip(map(str, types), schemas, strict=True))
    for schema in components.values():
        schema["description"] = cleandoc(schema["description"])
    for event in EVENTS:
        components[event.__name__]["allOf"] = [_data_of(event_type) for event_type in EVENT_DATA]
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_type)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "trioworker orchestrator",
            "version": version("trioworker"),
            "description": "The orchestrator that `trioworker orchestrator` and `trioworker local --web` run.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "secret": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret of the printed URL (`?token=…`), or of `--admin-token-file`.",
                },
                "jobToken": {"type": "http", "scheme": "bearer", "description": "`token` of the created job."},
            },
        },
    }


def _types() -> list[Any]:
    used: list[Any] = [JobView, *EVENTS, *EVENT_DATA.values()]
    for route in ROUTES:
        used += [route.body, *route.answers.values()]
    by_name = {str(used_type): used_type for used_type in used if _has_schema(used_type)}
    return list(by_name.values())


def _has_schema(answer: Any) -> bool:
    return answer is not None and not isinstance(answer, str)


def _data_of(event_type: str) -> dict[str, Any]:
    """The condition: events of this type have this data."""
    data = {"$ref": f"#/components/schemas/{EVENT_DATA[event_type].__name__}"}
    return {
        "if": {"properties": {"event_type": {"const": event_type}}},
        "then": {"properties": {"data": data}},
    }


def _operation(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": ["worker" if route.access == "job token" else "management"],
        "security": [{SECURITY[route.access]: []}] if route.access in SECURITY else [],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        content = {"application/json": {"schema": schemas[str(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: ApiRoute) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if "{job_id}" in route.path:
        parameters.append(
            {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        )
    if route.access == "job token":
        start = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
        text = "Identifies one start of a worker; the job is granted to the last one."
        parameters.append({"name": START_HEADER, "in": "header", "description": text, "schema": start})
    if EVENT_STREAM in route.answers.values():
        number = {"type": "integer", "minimum": 0}
        text = "Continue after the event with this number."
        parameters.append({"name": "Last-Event-ID", "in": "header", "description": text, "schema": number})
    return parameters


def _responses(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in route.answers.items():
        response: dict[str, Any] = {"description": ERRORS.get(status) or _description(answer)}
        responses[str(status)] = response
        if answer is not None:
            response["content"] = _content(answer, schemas)
    for status in route.errors:
        response = responses.setdefault(str(status), {"description": ERRORS[status]})
        response.setdefault("content", {}).update(_content(TEXT, schemas))
    return dict(sorted(responses.items()))


def _description(answer: Any) -> str:
    if answer == EVENT_STREAM:
        return (
            "Server-sent events. Each has the number of the event as `id`, its type as `event` and a `StoredEvent` as"
            " `data`. The last one is `end`, with the `JobView`."
        )
    return "Success." if answer is not None else "Success; the response is empty."


def _content(answer: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if answer == ANY_JSON:
        return {answer: {"schema": {"type": "object"}}}
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": schemas[str(answer)]}}
