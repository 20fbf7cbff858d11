"""What the statuses and bodies of the Kubernetes API, and of what may be in front of it, mean."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx
import pytest

from trioworker.fleet.kubernetes.api.refusals import EVENTS, LOG, Meaning, failure_of_error, failure_of_response

HTML = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>nginx</body>\n</html>"
FORBIDDEN = 'secrets is forbidden: User "poor" cannot create resource "secrets" in API group "" in the namespace "jobs"'
QUOTA = "exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=1, limited: count/jobs.batch=1"
MUST_SPECIFY = 'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: worker'
TERMINATING = (
    'jobs.batch "x" is forbidden: unable to create new content in namespace jobs because it is being terminated'
)
POLICY = 'admission webhook "validate.kyverno.svc-fail" denied the request: images must be signed'
RACE = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
LOG_500 = 'Get "https://10.0.0.7:10250/containerLogs/jobs/x/worker?tailLines=20": dial tcp 10.0.0.7:10250: i/o timeout'
LOG_400 = 'container "worker" in pod "x" is waiting to start: ContainerCreating'
NO_RESOURCE = "the server could not find the requested resource"


def status(code: int, reason: str, message: str, kind: str = "", **headers: str) -> httpx.Response:
    details = {"kind": kind} if kind else {}
    body: dict[str, Any] = {"kind": "Status", "status": "Failure", "code": code, "details": details}
    return httpx.Response(code, json={**body, "reason": reason, "message": message}, headers=headers)


@pytest.mark.parametrize(
    ("operation", "response", "meaning"),
    [
        ("GET jobs", httpx.Response(429, text="Too many requests, please try again later.\n"), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(408), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(425), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(502, html=HTML), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(503, html=HTML), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(504, content=b"\xff\x00"), Meaning.OUTAGE),
        ("GET jobs", httpx.Response(599), Meaning.OUTAGE),
        ("POST jobs", status(500, "InternalError", "failed calling webhook"), Meaning.OUTAGE),
        ("POST jobs", status(409, "Conflict", RACE), Meaning.OUTAGE),
        ("GET jobs", status(401, "Unauthorized", "Unauthorized"), Meaning.LOGIN),
        ("GET jobs", httpx.Response(401, html=HTML), Meaning.LOGIN),
        ("POST secrets", status(403, "Forbidden", FORBIDDEN, "secrets"), Meaning.RIGHTS),
        ("GET jobs", httpx.Response(403, html=HTML), Meaning.RIGHTS),
        ("POST jobs", status(403, "Forbidden", f'jobs.batch "x" is forbidden: {QUOTA}', "jobs"), Meaning.QUOTA),
        ("POST jobs", status(403, "Forbidden", "status unknown for quota: q, resources: pods"), Meaning.QUOTA),
        ("POST jobs", status(403, "Forbidden", MUST_SPECIFY), Meaning.FINAL),
        ("POST jobs", status(403, "Forbidden", TERMINATING, "jobs"), Meaning.FINAL),
        ("POST jobs", status(403, "Forbidden", POLICY), Meaning.FINAL),
        ("GET job", status(404, "NotFound", 'jobs.batch "x" not found', "jobs"), Meaning.OBJECT),
        ("POST jobs", status(404, "NotFound", 'namespaces "nope" not found', "namespaces"), Meaning.FINAL),
        ("GET jobs", status(404, "NotFound", NO_RESOURCE), Meaning.RIGHTS),
        ("GET job", httpx.Response(404, text="404 page not found\n"), Meaning.RIGHTS),
        ("GET job", httpx.Response(404, html=HTML), Meaning.RIGHTS),
        ("POST jobs", status(409, "AlreadyExists", 'jobs.batch "x" already exists', "jobs"), Meaning.OBJECT),
        ("DELETE job", status(409, "Conflict", "the UID in the precondition does not match"), Meaning.OBJECT),
        ("GET jobs", status(410, "Expired", "The provided continue parameter is too old"), Meaning.OBJECT),
        ("GET jobs", httpx.Response(410), Meaning.FINAL),
        ("GET job", status(410, "Expired", "gone"), Meaning.FINAL),
        ("GET jobs", httpx.Response(409, html=HTML), Meaning.FINAL),
        ("GET job", status(409, "Conflict", "gone"), Meaning.FINAL),
        ("POST jobs", httpx.Response(409, html=HTML), Meaning.FINAL),
        ("POST jobs", status(409, "Denied", POLICY), Meaning.FINAL),
        ("POST jobs", status(404, "NotFound", 'jobs.batch "x" not found', "jobs"), Meaning.FINAL),
        ("GET pods", status(404, "NotFound", "pods not found", "pods"), Meaning.FINAL),
        ("POST jobs", status(400, "BadRequest", "quantities must match the regular expression"), Meaning.FINAL),
        ("POST jobs", status(422, "Invalid", 'Job.batch "x" is invalid: spec.template.spec'), Meaning.FINAL),
        ("POST jobs", httpx.Response(413, html=HTML), Meaning.FINAL),
        ("GET jobs", httpx.Response(302, headers={"Location": "/login"}), Meaning.FINAL),
        ("GET jobs", httpx.Response(400, text="Client sent an HTTP request to an HTTPS server.\n"), Meaning.FINAL),
        ("GET jobs", status(405, "MethodNotAllowed", "the server does not allow this method"), Meaning.FINAL),
        (LOG, status(400, "BadRequest", LOG_400), Meaning.OBJECT),
        (LOG, status(404, "NotFound", 'pods "x" not found', "pods"), Meaning.OBJECT),
        (LOG, status(500, "", LOG_500), Meaning.OBJECT),
        (LOG, httpx.Response(503, html=HTML), Meaning.OUTAGE),
        (EVENTS, status(403, "Forbidden", 'events is forbidden: User "u" cannot list'), Meaning.OBJECT),
        (EVENTS, httpx.Response(429), Meaning.OUTAGE),
    ],
)
def test_meaning_of_a_response(operation: str, response: httpx.Response, meaning: Meaning) -> None:
    assert failure_of_response(operation, response).meaning is meaning


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (httpx.Response(502, html=HTML), "answers 502 (Bad Gateway)"),
        (httpx.Response(503, text=HTML), "answers 503 (Service Unavailable)"),
        (
            httpx.Response(429, text="Too many requests,\n please wait.\n"),
            "answers 429 (Too many requests, please wait.)",
        ),
        (httpx.Response(500, text='{"kind": "Sta'), "answers 500 (Internal Server Error)"),
        (httpx.Response(500, text='{"a": ' * 100_000), "answers 500 (Internal Server Error)"),
        (httpx.Response(500, json=[1]), "answers 500 (Internal Server Error)"),
        (httpx.Response(599), "answers 599"),
        (status(401, "Unauthorized", "Unauthorized"), "answers 401 (Unauthorized)"),
        (status(403, "Forbidden", f'jobs.batch "x" is forbidden: {QUOTA}'), f"answers 403 ({QUOTA})"),
    ],
)
def test_text_says_what_was_answered_in_one_line(response: httpx.Response, text: str) -> None:
    assert failure_of_response("POST jobs", response).text == text


@pytest.mark.parametrize(
    ("response", "remedy"),
    [
        (
            status(422, "Invalid", "spec.template: Invalid value"),
            "correct --image, --cpu, --memory or the pod template",
        ),
        (httpx.Response(413, html=HTML), "correct --image, --cpu, --memory or the pod template"),
        (httpx.Response(400, text="Client sent an HTTP request to an HTTPS server."), "check the server in {source}"),
        (status(404, "NotFound", 'namespaces "nope" not found'), "create the namespace, or name another one"),
    ],
)
def test_remedy_fits_the_cause(response: httpx.Response, remedy: str) -> None:
    assert failure_of_response("POST jobs", response).remedy.startswith(remedy)


def test_long_message_is_shortened() -> None:
    failure = failure_of_response("POST jobs", status(422, "Invalid", "x" * 10_000))
    assert len(failure.text) < 600
    assert failure.text.endswith("…)")


def test_retry_after_of_an_overloaded_api_holds_for_all_requests() -> None:
    failure = failure_of_response("POST jobs", httpx.Response(429, headers={"Retry-After": "7"}))
    assert (failure.retry_after, failure.is_general) == (7.0, True)


def test_failing_webhook_concerns_only_its_operation() -> None:
    assert not failure_of_response("POST jobs", status(500, "InternalError", "failed calling webhook")).is_general


def test_invalid_header_is_final_and_hides_the_token() -> None:
    failure = failure_of_error("GET jobs", httpx.LocalProtocolError("Illegal header value b'Bearer s3cret\\n'"))
    assert failure.meaning is Meaning.FINAL
    assert "s3cret" not in json.dumps(failure, default=str)


def test_silent_node_concerns_only_its_log() -> None:
    assert failure_of_error(LOG, httpx.ReadTimeout("")).meaning is Meaning.OBJECT
    assert failure_of_error(LOG, httpx.ConnectTimeout("")).meaning is Meaning.OUTAGE
    assert failure_of_error("GET jobs", httpx.ReadTimeout("")).meaning is Meaning.OUTAGE


def test_server_without_tls_is_named_as_such() -> None:
    context, received = ssl.create_default_context(), ssl.MemoryBIO()
    received.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as raised:
        context.wrap_bio(received, ssl.MemoryBIO(), server_hostname="api.test").do_handshake()
    error = httpx.ConnectError("")
    error.__cause__ = raised.value
    failure = failure_of_error("GET jobs", error)
    assert "can't be reached (TLS fails: " in failure.text
    assert "version" in failure.text
