"""Reads a pod template: the user's parts of a Job and its pod, into which ours are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.manifests.template_checks import (
    check_job_spec,
    check_metadata,
    check_pod_spec,
    mapping,
)
from trioworker.fleet.kubernetes.manifests.template_file import load_template
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KINDS = ("Job", "Pod", "PodTemplate")


class PodTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the objects that the user sets, in the structure of the API."""

    job_metadata: dict[str, Any] = {}
    job_spec: dict[str, Any] = {}
    pod_metadata: dict[str, Any] = {}
    pod_spec: dict[str, Any] = {}

    @property
    def image(self) -> str | None:
        """The image of the worker, if it names one."""
        containers: list[dict[str, Any]] = self.pod_spec.get("containers", [])
        return next((each.get("image") for each in containers if each["name"] == "worker"), None)


def read_pod_template(path: Path, attempts: int) -> PodTemplate:
    """Read a file that contains a pod template or an object of `KINDS`. `attempts` is the fleet's.

    Raises:
        ConfigError: it can't be read, has another structure, or sets a field that the fleet sets.
    """
    try:
        content = load_template(path)
        template = _parts(content)
        _check(template, content, attempts)
    except ValueError as error:
        raise ConfigError(f"--pod-template {path}: {error}") from error
    return template


def _parts(content: dict[str, Any]) -> PodTemplate:
    kind = content.get("kind")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind: {escape_line(str(kind)[:80])} is not one of {', '.join(KINDS)}; write one of them")
    header = ("apiVersion", "kind") if kind else ()
    if kind == "PodTemplate":
        _check_keys(content, "", (*header, "metadata", "template"))
        pod = _template(content.get("template"), "template")
        return PodTemplate(job_metadata=mapping(content.get("metadata"), "metadata"), **pod)
    _check_keys(content, "", (*header, "metadata", "spec"))
    metadata, spec = mapping(content.get("metadata"), "metadata"), mapping(content.get("spec"), "spec")
    if kind == "Job":
        job_spec = {name: value for name, value in spec.items() if name != "template"}
        return PodTemplate(job_metadata=metadata, job_spec=job_spec, **_template(spec.get("template"), "spec.template"))
    # The metadata is also the Job's: a queue's controller reads its label there.
    return PodTemplate(job_metadata=metadata, pod_metadata=metadata, pod_spec=spec)


def _template(value: Any, where: str) -> dict[str, dict[str, Any]]:
    found = mapping(value, where)
    _check_keys(found, f"{where}.", ("metadata", "spec"))
    return {f"pod_{name}": mapping(found.get(name), f"{where}.{name}") for name in ("metadata", "spec")}


def _check(template: PodTemplate, content: dict[str, Any], attempts: int) -> None:
    pod = {"Job": "spec.template.", "PodTemplate": "template."}.get(content.get("kind", ""), "")
    check_metadata(template.job_metadata, "metadata")
    check_metadata(template.pod_metadata, f"{pod}metadata")
    check_job_spec(template.job_spec, "spec", attempts)
    check_pod_spec(template.pod_spec, f"{pod}spec")


def _check_keys(found: dict[str, Any], where: str, known: Iterable[str]) -> None:
    for name in found:
        if name not in known:
            raise ValueError(f"{where}{escape_line(name[:80])}: unknown field; use one of {', '.join(known)}")
