"""Ray's driver, with a fake of Ray: what it does for each command, and what it reports."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trioworker.fleet.engine import Attempt
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.ray.driver import ClusterLostError, Driver, connect, serve
from trioworker.fleet.ray.messages import Discard, Ended, Refused, Resources, Run, Started, Stop, Unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.fleet.ray.messages import Command, Event

JOB = FleetJob(job_id="job-0", token="t", orchestrator_url="http://x", workspace=None, worker_options=())
NODES: tuple[dict[str, Any], ...] = (
    {"NodeID": "here", "Alive": True, "Resources": {}},
    {"NodeID": "big", "Alive": True, "Resources": {"CPU": 4.0}},
    {"NodeID": "small", "Alive": True, "Resources": {"CPU": 2.0}},
    {"NodeID": "dead", "Alive": False, "Resources": {"CPU": 64.0}},
)


class FakeRayError(Exception):
    """Stands for `ray.exceptions.RayError`."""


class Reference:
    """What a remote call returns; `value` is set when the call has ended."""

    def __init__(self) -> None:
        self.value: Any = None


class Method:
    def __init__(self, actor: Actor, name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *arguments: Any) -> Reference:
        self._actor.calls.append((self._name, *arguments))
        return self._actor.references.setdefault(self._name, Reference())


class Actor:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.references: dict[str, Reference] = {}

    def __getattr__(self, name: str) -> Method:
        return Method(self, name)


class FakeRay:
    """The functions of Ray that the driver calls. The actors do nothing by themselves."""

    class exceptions:  # noqa: N801 - as in Ray
        RayError = FakeRayError

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.alive: Sequence[Any] = NODES
        self.actors: list[Actor] = []
        self.killed: list[Actor] = []
        self.options: dict[str, Any] = {}

    def init(self, **_: Any) -> None:
        if self.failure is not None:
            raise self.failure

    def get_runtime_context(self) -> FakeRay:
        return self

    def get_node_id(self) -> str:
        return "here"

    def nodes(self) -> Any:
        return self.alive

    def remote(self, **options: Any) -> Any:
        self.options = options

        class Kind:
            def __init__(self, _: type) -> None:
                pass

            @staticmethod
            def remote() -> Actor:
                self.actors.append(Actor())
                return self.actors[-1]

        return Kind

    def wait(self, references: list[Reference], **_: Any) -> tuple[list[Reference], list[Reference]]:
        ready = [reference for reference in references if reference.value is not None]
        return ready, [reference for reference in references if reference not in ready]

    def get(self, reference: Reference) -> Any:
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    def kill(self, actor: Actor) -> None:
        self.killed.append(actor)


class Rig:
    """A driver that runs one job."""

    def __init__(self) -> None:
        self.ray = FakeRay()
        self.events: list[Event] = []
        self.driver = Driver(self.ray, 0.5, self.events.append)
        self.driver.obey(Run(JOB))
        (self.actor,) = self.ray.actors

    def answer(self, method: str, value: Any) -> list[Event]:
        self.actor.references[method].value = value
        self.driver.observe()
        return self.events


def test_ray_retries_nothing_by_itself() -> None:
    options = Rig().ray.options
    assert (options["num_cpus"], options["max_restarts"], options["max_task_retries"]) == (0.5, 0, 0)


def test_worker_that_ends_is_reported_with_its_node() -> None:
    rig = Rig()
    assert rig.answer("node", "host/1234") == [Started("job-0", "host/1234")]
    attempt = Attempt(exit_code=1, status="failed", success=False, message="no way")
    rig.answer("run", msgspec.json.encode(attempt))
    assert rig.events[1:] == [Ended("job-0", msgspec.structs.replace(attempt, node="host/1234"))]


def test_lost_node_is_one_attempt_with_the_reason_and_its_actor_is_killed() -> None:
    rig = Rig()
    rig.answer("node", "host/1234")
    rig.answer("run", FakeRayError("The actor died.\n\tpid: 1\nThe actor died because its node has died.\n"))
    message = "the node or its process was lost: The actor died because its node has died."
    assert rig.events[1:] == [Ended("job-0", Attempt(exit_code=None, message=message, node="host/1234"))]
    # The node may only seem to be lost.
    assert rig.ray.killed == [rig.actor]


def test_stop_reaches_the_worker() -> None:
    rig = Rig()
    rig.driver.obey(Stop("job-0"))
    assert rig.actor.calls[-1] == ("stop",)
    assert rig.ray.killed == []


def test_discarded_job_loses_its_actor() -> None:
    rig = Rig()
    rig.driver.obey(Discard("job-0"))
    assert rig.ray.killed == [rig.actor]


def test_command_for_a_job_that_has_ended_does_nothing() -> None:
    rig = Rig()
    for command in (Stop("other"), Discard("other")):
        rig.driver.obey(command)
    assert (len(rig.actor.calls), rig.ray.killed) == (2, [])


def test_node_without_the_program_is_refused_in_one_line() -> None:
    rig = Rig()
    rig.answer("run", FakeRayError("Traceback\n  File x\nModuleNotFoundError: No module named 'trioworker'\n"))
    assert rig.events == [
        Refused("a node can't run workers: No module named 'trioworker'; install this version of trioworker there")
    ]


def test_resources_are_those_of_the_nodes_that_are_alive() -> None:
    rig = Rig()
    rig.driver.report_resources()
    assert rig.events == [Resources(cpus=6.0, most_cpus=4.0)]


def test_cluster_without_our_node_is_lost() -> None:
    rig = Rig()
    rig.ray.alive = NODES[1:]
    with pytest.raises(ClusterLostError):
        rig.driver.report_resources()


def test_driver_serves_until_its_input_ends() -> None:
    rig = Rig()
    commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
    commands.put(Stop("job-0"))
    commands.put(None)
    serve(rig.driver, commands)
    assert rig.actor.calls[-1] == ("stop",)


@pytest.mark.parametrize(
    ("failure", "event"),
    [
        (None, None),
        (ConnectionError("Failed to connect to x"), Unreachable("Failed to connect to x")),
        (ValueError("Invalid address format: foo"), Refused("Invalid address format: foo")),
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9\n    Python: 3.10\n"),
            Refused("Version mismatch: The cluster was started with: Ray: 2.9 Python: 3.10"),
        ),
    ],
)
def test_failure_to_connect_is_one_line(failure: Exception | None, event: Event | None) -> None:
    assert connect(FakeRay(failure), "x") == event
