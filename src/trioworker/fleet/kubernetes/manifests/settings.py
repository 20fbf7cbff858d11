"""The settings of a fleet's pods: from the options and the pod template, which are checked against each other."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.manifests.pod_template import PodTemplate, read_pod_template
from trioworker.fleet.kubernetes.manifests.reachability import warn_of_loopback

if TYPE_CHECKING:
    from collections.abc import Collection

    from trioworker.fleet.config import FleetConfig
    from trioworker.fleet.jobs import FleetJob

GRACE_SECONDS = 30
"""Seconds from SIGTERM to SIGKILL: a worker's shutdown takes 8 s by default."""


class PodSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that all pods of a fleet share. `cpu` is in cores, `memory` a quantity of Kubernetes."""

    image: str | None
    cpu: float
    memory: str
    attempts: int
    template: PodTemplate = PodTemplate()

    @property
    def grace_seconds(self) -> int:
        """Seconds from SIGTERM to SIGKILL: those of the template, or our default."""
        return self.template.pod_spec.get("terminationGracePeriodSeconds") or GRACE_SECONDS


def pod_settings(config: FleetConfig, jobs: Collection[FleetJob]) -> PodSettings:
    """Return the settings of the fleet's pods. A line on stderr warns of an orchestrator that they can't reach.

    Raises:
        ConfigError: the template is unusable, a worker has no image, or PyYAML isn't installed.
    """
    if find_spec("yaml") is None:
        raise ConfigError("--engine kubernetes needs PyYAML: pip install 'trioworker[kubernetes]'")
    template = PodTemplate()
    if config.pod_template is not None:
        template = read_pod_template(config.pod_template, config.attempts)
    if config.image is not None and template.image not in (None, config.image):
        raise ConfigError(
            f"--image {config.image}: --pod-template names another image for the worker, {template.image}; remove one"
        )
    image = template.image or config.image
    missing = next((job for job in jobs if image is None and job.image is None), None)
    if missing is not None:
        raise ConfigError(
            f"--image is missing: give it, or name the worker's image in --pod-template or in the line of job "
            f"{missing.job_id}"
        )
    warn_of_loopback(jobs, template)
    return PodSettings(image=image, cpu=config.cpu, memory=config.memory, attempts=config.attempts, template=template)
