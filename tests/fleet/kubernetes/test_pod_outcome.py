"""How the end of a Job's pods becomes the result: exit codes, the worker's last line and the cluster's reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.kubeapi import KubeApi
from support.kubefleet import JOB, NAME, KubeFleet
from support.kubepods import PodScript, outcome

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trioworker.fleet.results import Result, Results


async def result_of(results: Results, *scripts: PodScript, attempts: int = 3) -> Result:
    result = await KubeFleet(KubeApi(*scripts), results, attempts=attempts).run()
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("code", "status", "success"), [(0, "completed", True), (1, "failed", False), (4, "cancelled", False)]
)
async def test_outcome_of_the_worker_is_the_result(
    results: Results, autojump_clock: MockClock, code: int, status: str, success: bool
) -> None:
    log = "words\n" + outcome(status, "its answer") + "trioworker: a notice\n"
    result = await result_of(results, PodScript(code=code, log=log))
    assert (result.exit_code, result.status, result.success) == (code, status, success)
    assert (result.message, result.attempts, result.node) == ("its answer", 1, "node-a")


async def test_outcome_counts_although_a_command_of_the_worker_used_up_the_memory(
    results: Results, autojump_clock: MockClock
) -> None:
    script = PodScript(code=1, reason="OOMKilled", log=outcome("failed", "its answer"))
    result = await result_of(results, script)
    assert (result.exit_code, result.status, result.message) == (1, "failed", "its answer")


@pytest.mark.parametrize("line", ['{"a": ' * 100_000, "[" * 100_000, "9" * 100_000, "\x00\x1b[2J"])
async def test_odd_line_of_a_log_is_no_outcome(results: Results, autojump_clock: MockClock, line: str) -> None:
    result = await result_of(results, PodScript(code=1, log=outcome("failed", "its answer") + line + "\n"))
    assert (result.exit_code, result.message) == (1, "its answer")


@pytest.mark.parametrize("code", [0, 1, 4])
async def test_exit_code_without_an_outcome_is_no_success_and_no_failure(
    results: Results, autojump_clock: MockClock, code: int
) -> None:
    api = KubeApi(PodScript(code=code, log="hello\n"))
    fleet = KubeFleet(api, results)
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status, result.success, result.attempts) == (None, "lost", False, 3)
    assert result.message is not None
    assert result.message.startswith(f"exit code {code} without a worker's outcome in the log: check that --image is")
    assert result.message.endswith("; its last line: hello")
    assert fleet.status.asked == 3
    assert len(api.of("Job")) == 1


async def test_exit_code_without_an_outcome_and_a_revoked_token_is_reported(
    results: Results, autojump_clock: MockClock
) -> None:
    fleet = KubeFleet(KubeApi(PodScript(code=0)), results)
    fleet.status.answer = "revoked"
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status, result.success, result.attempts) == (None, "reported", None, 1)


@pytest.mark.parametrize(
    ("code", "status", "attempts"), [(2, "failed", 1), (3, "refused", 3), (5, "unreported", 3), (127, "lost", 3)]
)
async def test_last_line_of_the_worker_is_the_message(
    results: Results, autojump_clock: MockClock, code: int, status: str, attempts: int
) -> None:
    log = 'trioworker: no such job\n{"event": "a line of a log in JSON"}\n\n'
    result = await result_of(results, PodScript(code=code, log=log))
    assert (result.exit_code, result.message) == (code, "exit code 127: no such job" if code == 127 else "no such job")
    assert (result.status, result.success, result.attempts) == (status, False, attempts)


EVICTED = {"reason": "Evicted", "message": "the node was low on memory"}
DISRUPTED = {
    "conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "a drain"}
    ]
}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (PodScript(code=137), "the worker was killed by signal 9"),
        (PodScript(code=137, reason="OOMKilled"), "the container was killed: OOMKilled; raise --memory"),
        (PodScript(code=1, reason="OOMKilled"), "the container was killed: OOMKilled; raise --memory"),
        (PodScript(code=137, status=EVICTED), "the pod was stopped: Evicted: the node was low on memory"),
        (PodScript(code=143, status=DISRUPTED), "the pod was stopped: EvictionByEvictionAPI: a drain"),
        (PodScript(code=128, reason="StartError", message="exec: not found"), "StartError: exec: not found"),
        (PodScript(code=127), "exit code 127"),
    ],
)
async def test_reason_of_the_cluster_is_the_message(
    results: Results, autojump_clock: MockClock, script: PodScript, message: str
) -> None:
    result = await result_of(results, script)
    assert (result.status, result.success, result.message) == ("lost", False, message)


async def test_job_beyond_its_deadline_is_not_created_again(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(code=None))
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "longer than 60 s"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(KubeFleet(api, results).run)
        await trio.sleep(60)
        api.of("Job")[0]["status"] = {"failed": 1, "conditions": [condition]}
        api.delete("Pod", f"{NAME}-0")
    result = results.done[JOB.job_id]
    assert (result.status, result.attempts, len(api.of("Job"))) == ("lost", 1, 1)
    assert result.message == "DeadlineExceeded: longer than 60 s"


async def test_attempts_are_those_of_all_jobs_of_a_job(results: Results, autojump_clock: MockClock) -> None:
    """A Job is ended by an exit code; the next one has the attempts that are left."""
    scripts = (PodScript(code=137), PodScript(code=1, log="Traceback\n"))
    result = await result_of(results, *scripts, attempts=3)
    assert (result.status, result.attempts) == ("lost", 3)


async def test_pod_that_never_started_does_not_count_as_an_attempt(results: Results, autojump_clock: MockClock) -> None:
    never = PodScript(code=137, reason="ContainerStatusUnknown")
    result = await result_of(results, never, PodScript(log=outcome()))
    assert (result.status, result.attempts) == ("completed", 1)


async def test_failed_init_container_is_the_message(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(node=None))
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many"}
    failed = {"name": "clone", "state": {"terminated": {"exitCode": 128, "message": "no such repository"}}}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(KubeFleet(api, results).run)
        await trio.sleep(3)
        api.of("Pod")[0]["status"] = {"phase": "Failed", "initContainerStatuses": [failed]}
        api.of("Job")[0]["status"] = {"failed": 3, "conditions": [condition]}
    message = "the init container clone failed with exit code 128: no such repository"
    assert results.done[JOB.job_id].message == message


async def test_only_the_container_of_the_worker_counts(results: Results, autojump_clock: MockClock) -> None:
    """The pod is replaced because its sidecar failed; its worker had reported, and the next one is refused."""
    reported = PodScript(code=0, sidecar_code=1, log=outcome())
    fleet = KubeFleet(KubeApi(reported, PodScript(code=3, sidecar_code=1, log="trioworker: refused\n")), results)
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status, result.message) == (0, "completed", "done")
    assert fleet.status.asked == 0


async def test_worker_of_a_pod_that_was_evicted_may_have_reported(results: Results, autojump_clock: MockClock) -> None:
    """The pod is gone, and isn't in the numbers of the Job: only its termination was seen."""
    api = KubeApi(PodScript(seconds=20, code=3, log="trioworker: refused\n"))
    fleet = KubeFleet(api, results, attempts=1)
    fleet.status.answer = "revoked"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        await trio.sleep(5)
        api.of("Job")[0]["status"]["terminating"] = 1
        await trio.sleep(5)
        api.of("Job")[0]["status"]["terminating"] = 0
    result = results.done[JOB.job_id]
    assert (result.exit_code, result.status) == (None, "reported")
