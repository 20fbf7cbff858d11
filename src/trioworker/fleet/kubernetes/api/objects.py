"""The fields of the API's objects that the fleet reads. All others are skipped."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from trioworker.fleet.kubernetes.fixed import JOB_LABEL, LABEL, LABEL_VALUE

ENDED = ("Complete", "Failed")
"""Types of the conditions of a Job whose pods have all ended."""


class _Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class AnyObject(_Object, frozen=True):
    """An answer whose content doesn't matter. One without a `kind` isn't from the API."""

    kind: str


class Owner(_Object, frozen=True):
    """The object with which another one is deleted."""

    uid: str


class Metadata(_Object, frozen=True):
    """What identifies an object. With a `deletion_timestamp`, its deletion is under way."""

    name: str
    uid: str = ""
    labels: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None

    @property
    def job_id(self) -> str | None:
        """The id of the job that it belongs to; None if it isn't a fleet's."""
        return self.labels.get(JOB_LABEL) if self.labels.get(LABEL) == LABEL_VALUE else None

    def is_owned_by(self, owner: Metadata) -> bool:
        """Whether it is deleted with `owner`."""
        return any(each.uid == owner.uid for each in self.owner_references)


class Condition(_Object, frozen=True):
    """One fact about an object, such as that it has ended, or that it can't be scheduled."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None

    @property
    def holds(self) -> bool:
        """Whether it is a fact; otherwise its opposite is, or nobody knows."""
        return self.status == "True"


class JobSpec(_Object, frozen=True):
    """The part of a Job's spec that is read. A queue such as Kueue suspends the Job until there is capacity."""

    suspend: bool = False


class JobStatus(_Object, frozen=True):
    """What the Job controller has seen of the pods. Pods that its failure policy ignores are in none of the counts."""

    active: int = 0
    terminating: int = 0
    failed: int = 0
    succeeded: int = 0
    ready: int = 0
    conditions: tuple[Condition, ...] = ()

    @property
    def counted(self) -> int:
        """How many pods count as attempts by the rules of the Job."""
        return self.failed + self.succeeded


class Job(_Object, frozen=True):
    """A `batch/v1` Job."""

    metadata: Metadata
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def end(self) -> Condition | None:
        """The condition with which it ended, or None if it hasn't."""
        ends = (each for each in self.status.conditions if each.type in ENDED and each.holds)
        return next(ends, None)


class Secret(_Object, frozen=True):
    """A Secret; `data` is in Base64."""

    metadata: Metadata
    data: dict[str, bytes] = {}

    @property
    def token(self) -> str:
        """The job's token."""
        return self.data.get("token", b"").decode(errors="replace")


class Terminated(_Object, frozen=True):
    """How a container ended. The times are in RFC 3339, so later ones sort last."""

    exit_code: int
    reason: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def was_started(self) -> bool:
        """Whether its program ran. A node that can't execute it sets the start time to 0."""
        return self.started_at is not None and not self.started_at.startswith("1970-")


class Waiting(_Object, frozen=True):
    """Why a container doesn't run yet."""

    reason: str | None = None
    message: str | None = None


class Running(_Object, frozen=True):
    """A container runs."""


class ContainerState(_Object, frozen=True):
    """At most one is set."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Object, frozen=True):
    """The state of one container of a pod."""

    name: str
    state: ContainerState = ContainerState()


class PodStatus(_Object, frozen=True):
    """What the node and the scheduler have said about a pod."""

    phase: str = "Pending"
    reason: str | None = None
    message: str | None = None
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class PodSpec(_Object, frozen=True):
    """Where a pod runs."""

    node_name: str | None = None


class Pod(_Object, frozen=True):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def worker(self) -> ContainerState:
        """The state of its worker."""
        statuses = self.status.container_statuses
        return next((each.state for each in statuses if each.name == "worker"), ContainerState())

    @property
    def has_ended(self) -> bool:
        """Whether all of its containers have ended, or never will start."""
        return self.status.phase in {"Failed", "Succeeded"}


class InvolvedObject(_Object, frozen=True):
    """What an event is about."""

    uid: str = ""


class Event(_Object, frozen=True):
    """Something that happened to an object, such as `FailedCreate`."""

    metadata: Metadata
    involved_object: InvolvedObject = InvolvedObject()
    reason: str = ""
    message: str = ""
    event_time: str | None = None
    last_timestamp: str | None = None

    @property
    def time(self) -> str:
        """When it last happened, in RFC 3339. The scheduler and the controllers set different fields."""
        return self.last_timestamp or self.event_time or ""


class ListMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """With `continue_`, the list has further chunks."""

    continue_: str = msgspec.field(name="continue", default="")


T = TypeVar("T", Job, Pod, Event)


class ObjectList(_Object, Generic[T], frozen=True):
    """A chunk of a list. `items` has no default: an answer without it isn't from the API."""

    items: tuple[T, ...] | None
    metadata: ListMetadata = ListMetadata()


class StatusDetails(_Object, frozen=True):
    """What a status is about; `kind` is that of the path, such as `jobs`, or `namespaces`."""

    kind: str = ""


class Status(_Object, frozen=True):
    """What the API returns instead of an object, such as a refusal. `status` is `Success` or `Failure`."""

    status: str
    message: str = ""
    reason: str = ""
    details: StatusDetails | None = None
