"""Warns of an orchestrator that pods probably can't reach, before all jobs fail because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.observability.notices import print_notice
from trioworker.protocol.loopback import names_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.manifests.pod_template import PodTemplate


def warn_of_loopback(jobs: Iterable[FleetJob], template: PodTemplate) -> None:
    """Print a line if jobs use an orchestrator on the loopback interface, unless the pods use their node's network."""
    urls = [job.orchestrator_url for job in jobs if names_loopback(job.orchestrator_url)]
    if urls and not template.pod_spec.get("hostNetwork"):
        subject = "1 job uses" if len(urls) == 1 else f"{len(urls)} jobs use"
        print_notice(
            f"warning: {subject} the orchestrator {urls[0]}, which in a pod is the pod itself; set orchestrator_url in "
            "the lines of the jobs to a URL that pods can reach"
        )
