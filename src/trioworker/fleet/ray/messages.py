"""Messages between the fleet and Ray's driver: lines of JSON."""

from __future__ import annotations

import msgspec

from trioworker.fleet.engine import Attempt
from trioworker.fleet.jobs import FleetJob


class Run(msgspec.Struct, frozen=True, tag=True):
    """Start a worker for the job on any node. Answered by `Started`, and in any case by `Ended`."""

    job: FleetJob


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Stop the job's worker, which reports the job as cancelled."""

    job_id: str


class Discard(msgspec.Struct, frozen=True, tag=True):
    """Remove the job from Ray's queue. If its worker has just started, it ends without a report."""

    job_id: str


Command = Run | Stop | Discard


class Resources(msgspec.Struct, frozen=True, tag=True):
    """The processors of the cluster, and of its largest node. Sent every second while the cluster answers."""

    cpus: float
    most_cpus: float


class Started(msgspec.Struct, frozen=True, tag=True):
    """A node starts the job's worker."""

    job_id: str
    node: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The job's worker has ended, or was lost."""

    job_id: str
    attempt: Attempt


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The last message: the cluster can't be used, and a retry would not help."""

    reason: str


class Unreachable(msgspec.Struct, frozen=True, tag=True):
    """The last message: the cluster doesn't answer."""

    reason: str


Event = Resources | Started | Ended | Refused | Unreachable

encode = msgspec.json.Encoder().encode
decode_command = msgspec.json.Decoder(Command).decode
decode_event = msgspec.json.Decoder(Event).decode
