"""`trioworker fleet --dry-run`: prints the objects of all jobs without a result, and contacts no cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from trioworker.fleet.kubernetes.manifests.job import job_manifest, secret_manifest
from trioworker.fleet.kubernetes.manifests.settings import pod_settings
from trioworker.fleet.results import read_results
from trioworker.observability.bounded_stream import BoundedStream
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker.fleet.config import FleetConfig
    from trioworker.fleet.jobs import FleetJob

PLACEHOLDER = "REDACTED"
"""Stands for the token of each job."""
UID = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid of the Job, which only the cluster knows."""
WRITE_TIMEOUT = 60.0
"""Seconds for a reader to take the objects of one job: text that waits too long would be dropped."""


def print_objects(config: FleetConfig, jobs: Sequence[FleetJob]) -> int:
    """Print the objects as YAML, with a placeholder for each token, and return the exit code.

    Raises:
        ConfigError: the settings or the results are unusable.
    """
    settings = pod_settings(config, jobs)
    from trioworker.fleet.kubernetes.manifests.yaml_text import to_yaml

    done = read_results(config.results)
    left = [job for job in jobs if job.job_id not in done]
    for job in left:
        shown = msgspec.structs.replace(job, token=PLACEHOLDER)
        objects = [job_manifest(shown, settings), secret_manifest(shown, UID)]
        if config.namespace:
            for each in objects:
                each["metadata"]["namespace"] = config.namespace
        sys.stdout.write(to_yaml(objects))
        if isinstance(sys.stdout, BoundedStream):
            sys.stdout.drain(WRITE_TIMEOUT)
    print_notice(f"nothing was created: {len(left)} of {len(jobs)} jobs have no result in {config.results}")
    return SUCCEEDED
