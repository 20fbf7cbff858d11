"""Requests of any kind to each route of the embedded orchestrator: a refusal of one line, never a defect."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import httpx
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.foreign import JSON, NESTED
from fuzz.profile import fuzzing
from orchestrator.serving import ADMIN_TOKEN, pages_of
from support.model import ScriptedModel
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import Reply

ODD_TEXT = st.sampled_from(["\0", "a\0b", "\\\0", "\\u0000", "\u202e", "\U0010ffff", "x" * 3000, ""]) | st.text(
    max_size=9
)
ODD_NUMBERS = st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400, -1, 0, 1.5, 1e308, 10**4299]) | st.integers()
ODD = ODD_TEXT | ODD_NUMBERS | JSON
BODIES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "status": {"state": st.just("in_progress"), "message": ODD, "iteration": ODD_NUMBERS},
    "event": {
        "event_type": ODD_TEXT,
        "data": st.fixed_dictionaries({}, optional={"seq": ODD, "content": ODD_TEXT, "output": ODD_TEXT, "x": ODD}),
    },
    "complete": {"success": st.booleans(), "message": ODD_TEXT | st.none(), "iterations": ODD_NUMBERS},
    "llm/complete": {
        "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": ODD_TEXT}), max_size=2),
        "max_tokens": ODD_NUMBERS,
    },
    "prompt": {"content": ODD_TEXT, "done": st.booleans() | st.none()},
    "jobs": {
        "description": ODD_TEXT,
        "title": ODD_TEXT | st.none(),
        "project_dir": ODD_TEXT | st.none(),
        "credentials": st.lists(st.fixed_dictionaries({"env_var": ODD_TEXT, "value": ODD_TEXT}), max_size=2),
    },
}
BODIES["llm/complete_with_tools"] = BODIES["llm/complete"]
WORKER_POSTS = ("status", "event", "complete", "llm/complete", "llm/complete_with_tools")
ROUTES = [
    *[("GET", f"/worker/{{id}}/{path}") for path in ("job", "credentials", "prompt")],
    *[("POST", f"/worker/{{id}}/{path}") for path in WORKER_POSTS],
    *[("GET", path) for path in ("/", "/health", "/jobs", "/jobs/{id}", "/jobs/{id}/events", "/web/jobs")],
    *[("GET", f"/web/jobs/{{id}}/{path}") for path in ("events", "timeline")],
    *[("POST", path) for path in ("/jobs", "/jobs/{id}/prompt", "/web/jobs/{id}/stop")],
]
BYTES = st.sampled_from(
    [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc3\xa9", b"a", b"%ff", b"%00", b"%", b"=", b"&", b";", b'"']
)
NOISE = st.lists(BYTES, max_size=4).map(b"".join)
HEADER_NAMES = [
    b"Authorization", b"Cookie", b"Content-Type", b"Content-Encoding", b"Host", b"Origin", b"Last-Event-ID",
    b"Sec-Fetch-Site", b"X-Trioworker-Start", b"User-Agent",
]  # fmt: skip
HEADER_VALUES = [b"gzip", b"Bearer ", b"Bearer x", b"9" * 18, b"9" * 30, b'trioworker-80="\\777"', b"http://[", b"[::1"]
HEADERS = st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_VALUES) | NOISE), max_size=3)


@st.composite
def posted(draw: st.DrawFn, path: str) -> bytes:
    """A body for the route: nearly valid, any JSON, or no JSON."""
    name = next((name for name in sorted(BODIES, key=len, reverse=True) if path.endswith(f"/{name}")), "")
    fields = {
        field: values | ODD if draw(st.integers(0, 9)) == 0 else values
        for field, values in BODIES.get(name, {}).items()
    }
    valid = st.fixed_dictionaries(fields)
    return draw(
        valid.map(_json)
        | valid.map(_json)
        | JSON.map(_json)
        | NESTED
        | NESTED.map(_event_with)
        | st.binary(max_size=20)
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes, bytes, bytes, list[tuple[bytes, bytes]]]:
    """A request: method, route, noise for the path and for the query, body, headers."""
    method, route = draw(st.sampled_from(ROUTES))
    rarely = st.integers(0, 3).flatmap(lambda number: NOISE if number == 0 else st.just(b""))
    query = draw(rarely | st.sampled_from([b"after=9", b"after=%ff", b"token=%00", b"token=x"]))
    body = draw(posted(route)) if method == "POST" else b""
    return method, route, draw(rarely), query, body, draw(HEADERS)


@fuzzing()
@given(request=requests())
@example(request=("POST", "/worker/{id}/status", b"", b"", b'{"message": "\\u0000", "iteration": 1}', []))
@example(request=("POST", "/worker/{id}/event", b"", b"", b'{"event_type":"a","data":{"seq":9223372036854775808}}', []))
@example(request=("GET", "/jobs/{id}", b"%00", b"", b"", []))
@example(request=("GET", "/web/jobs/{id}/events", b"", b"after=%ff", b"", []))
@example(request=("GET", "/jobs", b"", b"", b"", [(b"User-Agent", b"\xff")]))
def test_any_request_is_answered_without_a_defect(
    request: tuple[str, str, bytes, bytes, bytes, list[tuple[bytes, bytes]]],
) -> None:
    method, route, path_noise, query, body, headers = request
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        app = make_app(store, ScriptedModel(Reply(content="a\0b")), pages_of(store))
        token = job.token if route.startswith("/worker/") else ADMIN_TOKEN
        sent = [(b"Authorization", f"Bearer {token}".encode()), (b"Content-Type", b"application/json")]
        sent = [header for header in sent if header[0] not in dict(headers)] + headers
        target = route.format(id=job.id).encode() + path_noise.replace(b'"', b"")
        odd = _is_odd(target) or _is_odd(query) or any(_is_odd(value, quoted=False) for _, value in headers)
        response = trio.run(_response, app, method, target, query, body, sent)
        assert response.status_code < 500 or response.status_code in {502}, response.text
        if odd:
            assert response.status_code == 400
        if response.status_code >= 400:
            assert response.text.count("\n") == 0
            assert "Traceback" not in response.text
        # What was stored can be read.
        assert store.view(job.id) is not None
        for event in store.events(job.id, 0):
            assert "\0" not in event.event_type
        timeline = trio.run(_response, app, "GET", f"/web/jobs/{job.id}/timeline".encode(), b"", b"", [
            (b"Authorization", f"Bearer {ADMIN_TOKEN}".encode())
        ])  # fmt: skip
        assert timeline.status_code == 200


@pytest.mark.parametrize("route", [route for method, route in ROUTES if method == "POST" and "llm" not in route])
async def test_a_compressed_body_is_refused(route: str) -> None:
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        token = job.token if route.startswith("/worker/") else ADMIN_TOKEN
        headers = [
            (b"Authorization", f"Bearer {token}".encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Encoding", b"gzip"),
        ]
        app = make_app(store, ScriptedModel(Reply()), pages_of(store))
        response = await _response(app, "POST", route.format(id=job.id).encode(), b"", b"\x1f\x8b", headers)
        assert (response.status_code, "send it without Content-Encoding" in response.text) == (415, True)


async def _response(
    app: Any, method: str, target: bytes, query: bytes, body: bytes, headers: list[tuple[bytes, bytes]]
) -> httpx.Response:
    """The response to a request as a server passes it on, with its bytes unchanged. An endless one is cut off."""
    status, received = 0, b""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await trio.sleep_forever()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, received
        if message["type"] == "http.response.start":
            status = message["status"]
        received += message.get("body", b"")
        await trio.lowlevel.checkpoint()

    lower = [(name.lower(), value) for name, value in headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(target.decode("latin-1")),
        "raw_path": target,
        "query_string": query,
        "root_path": "",
        "headers": lower if any(name == b"host" for name, _ in lower) else [(b"host", b"127.0.0.1"), *lower],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    # The streams of a running job have no end.
    with trio.move_on_after(0.05 if b"events" in target else 30):
        await app(scope, receive, send)
    return httpx.Response(status, content=received)


def _is_odd(part: bytes, *, quoted: bool = True) -> bool:
    raw = unquote_to_bytes(part) if quoted else part
    try:
        return "\0" in raw.decode()
    except UnicodeDecodeError:
        return True


def _json(value: object) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:
        return b"{}"


def _event_with(nested: bytes) -> bytes:
    return b'{"event_type": "message", "data": {"seq": 1, "content": ' + nested + b"}}"
