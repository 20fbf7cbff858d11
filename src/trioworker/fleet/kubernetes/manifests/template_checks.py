"""Checks of a pod template: its structure, and that it doesn't set what the fleet sets.

Each raises `ValueError` with the field and the remedy.
"""

from __future__ import annotations

from typing import Any, cast

from trioworker.fleet.kubernetes.fixed import (
    JOB_ID_VARIABLE,
    JOB_LABEL,
    LABEL,
    LABEL_VALUE,
    POD_FAILURE_POLICY,
    POD_REPLACEMENT_POLICY,
)
from trioworker.fleet.resources import amount
from trioworker.protocol.control_characters import escape_line
from trioworker.protocol.values import TOKEN_VARIABLE

JOB_FIELDS = ("activeDeadlineSeconds", "managedBy", "suspend", "ttlSecondsAfterFinished")
"""Fields of a Job's spec that a template may set."""
NAMED = ("containers", "imagePullSecrets", "initContainers", "volumes")
"""Lists of a pod whose objects have names."""


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a mapping; an empty value counts as one without fields."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{where}: is not a mapping; write its fields below it")
    return cast("dict[str, Any]", value)


def check_metadata(metadata: dict[str, Any], where: str) -> None:
    """Check that there are only labels and annotations, and none of the fleet's."""
    for name, value in metadata.items():
        if name not in ("labels", "annotations"):
            raise ValueError(f"{where}.{escape_line(name[:80])}: only labels and annotations can be set; leave it out")
        for key, text in mapping(value, f"{where}.{name}").items():
            if text is not None and not isinstance(text, str):
                raise ValueError(f"{where}.{name}.{escape_line(key[:80])}: is not text; put it in quotes")
    labels = mapping(metadata.get("labels"), f"{where}.labels")
    _check_fixed({LABEL: LABEL_VALUE, JOB_LABEL: ""}, labels, f"{where}.labels")


def check_job_spec(spec: dict[str, Any], where: str, attempts: int) -> None:
    """Check the fields of a Job besides its pod template."""
    fixed = {
        "backoffLimit": attempts - 1,
        "completions": 1,
        "parallelism": 1,
        "podFailurePolicy": POD_FAILURE_POLICY,
        "podReplacementPolicy": POD_REPLACEMENT_POLICY,
    }
    if spec.get("backoffLimit", attempts - 1) != attempts - 1:
        raise ValueError(
            f"{where}.backoffLimit: --attempts sets it to {attempts - 1}; leave it out, or give --attempts"
        )
    _check_fixed(fixed, spec, where)
    for name in spec:
        if name not in fixed and name not in JOB_FIELDS:
            raise ValueError(
                f"{where}.{escape_line(name[:80])}: is not allowed in a fleet's Job; leave it out (allowed: "
                f"{', '.join(JOB_FIELDS)})"
            )


def check_pod_spec(spec: dict[str, Any], where: str) -> None:
    """Check a pod's spec."""
    _check_fixed({"restartPolicy": "Never"}, spec, where)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and (type(grace) is not int or grace < 1):
        raise ValueError(
            f"{where}.terminationGracePeriodSeconds: is not a positive whole number; a worker needs about 10"
        )
    for name in NAMED:
        _objects(spec, name, where)
    for kind in ("initContainers", "containers"):
        for container in _objects(spec, kind, where):
            _check_container(container, f"{where}.{kind}[{escape_line(container['name'][:80])}]")
            if container["name"] == "worker" and kind != "containers":
                raise ValueError(f"{where}.{kind}: `worker` is the name of the fleet's container; choose another one")


def _check_container(container: dict[str, Any], where: str) -> None:
    is_worker = container["name"] == "worker"
    if is_worker and "args" in container:
        raise ValueError(
            f"{where}.args: the fleet sets them; leave them out, and give options in the lines of the jobs"
        )
    if not isinstance(container.get("image") or "", str):
        raise ValueError(f"{where}.image: is not text; put it in quotes")
    for variable in _objects(container, "env", where):
        if variable["name"] == JOB_ID_VARIABLE or (is_worker and variable["name"] == TOKEN_VARIABLE):
            raise ValueError(f"{where}.env[{variable['name']}]: the fleet sets it; leave it out")
    for place, mount in enumerate(_list(container.get("volumeMounts", []), f"{where}.volumeMounts")):
        found = _item(mount, f"{where}.volumeMounts[{place}]")
        if not all(isinstance(found.get(name, ""), str) for name in ("name", "mountPath")):
            raise ValueError(f"{where}.volumeMounts[{place}]: its name or mountPath is not text; put it in quotes")
    resources = mapping(container.get("resources"), f"{where}.resources")
    for part in ("requests", "limits"):
        for name, quantity in mapping(resources.get(part), f"{where}.resources.{part}").items():
            _check_quantity(quantity, f"{where}.resources.{part}.{escape_line(name[:80])}")


def _check_quantity(quantity: Any, where: str) -> None:
    try:
        if quantity is not None:
            amount(quantity)
    except ValueError as error:
        raise ValueError(f"{where}: {escape_line(str(quantity)[:80])!r} is not {error}") from error


def _objects(parent: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    """Return a list of objects with unique names."""
    if name not in parent:
        return []
    objects: list[dict[str, Any]] = []
    names: set[str] = set()
    for place, value in enumerate(_list(parent[name], f"{where}.{name}")):
        found = _item(value, f"{where}.{name}[{place}]")
        its_name = found.get("name")
        if not isinstance(its_name, str) or not its_name:
            raise ValueError(f"{where}.{name}[{place}]: has no name; give it one, as text")
        if its_name in names:
            raise ValueError(f"{where}.{name}[{place}]: duplicate name {escape_line(its_name[:80])}; remove one")
        names.add(its_name)
        objects.append(found)
    return objects


def _item(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        raise ValueError(f"{where}: is empty; write its fields after `-`, or remove it")
    return mapping(value, where)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: is not a list; write its items below it, each after `-`")
    return cast("list[Any]", value)


def _check_fixed(fixed: dict[str, Any], found: dict[str, Any], where: str) -> None:
    for name, ours in fixed.items():
        if name in found and found[name] != ours:
            raise ValueError(f"{where}.{name}: the fleet sets it; leave it out")
