"""The restricted profile of the Pod Security Standards: which rules a pod's spec violates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
}


def violations(spec: dict[str, Any]) -> list[str]:
    """The fields of a pod's spec that a namespace with `pod-security.kubernetes.io/enforce: restricted` refuses."""
    return [*_pod_violations(spec), *_container_violations(spec)]


def _pod_violations(spec: dict[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    for volume in spec.get("volumes", []):
        yield from (f"volumes.{volume['name']}.{source}" for source in volume.keys() - {"name"} - VOLUMES)
    yield from (f"sysctls.{each['name']}" for each in context.get("sysctls", []) if each["name"] not in SYSCTLS)


def _container_violations(spec: dict[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        context = {**pod, **own}
        capabilities = own.get("capabilities", {})
        rules = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in capabilities.get("drop", []),
            "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "appArmorProfile": context.get("appArmorProfile", {}).get("type") != "Unconfined",
            "procMount": own.get("procMount", "Default") == "Default",
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
            "host of a probe": not any(_host(container.get(f"{name}Probe", {})) for name in ("liveness", "readiness")),
        }
        yield from (f"{container['name']}.{name}" for name, kept in rules.items() if not kept)


def _host(probe: dict[str, Any]) -> str:
    return next((probe[kind].get("host", "") for kind in ("httpGet", "tcpSocket") if kind in probe), "")
