"""Pod templates that are refused, in one line that has the field and a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.pod_templates import in_worker
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.manifests.pod_template import read_pod_template

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS = 3


def aliases(item: str) -> str:
    """A template with ten thousand million of this item."""
    anchors = [f"a0: &a0 [{item}]", *(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(10))]
    return f"spec: {{{', '.join(anchors)}}}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("spec: {restartPolicy: OnFailure}", "spec.restartPolicy: the fleet sets it; leave it out"),
        (
            "spec: {terminationGracePeriodSeconds: 0}",
            "spec.terminationGracePeriodSeconds: is not a positive whole number",
        ),
        ("spec: {restartPolicy: null}", "spec.restartPolicy: the fleet sets it"),
        ("kind: Job\nspec: {backoffLimit: 6}", "spec.backoffLimit: --attempts sets it to 2; leave it out, or give"),
        ("kind: Job\nspec: {podFailurePolicy: {rules: []}}", "spec.podFailurePolicy: the fleet sets it"),
        ("kind: Job\nspec: {podReplacementPolicy: TerminatingOrFailed}", "spec.podReplacementPolicy: the fleet sets"),
        ("kind: Job\nspec: {completions: 2}", "spec.completions: the fleet sets it"),
        (
            "kind: Job\nspec: {selector: {}}",
            "spec.selector: is not allowed in a fleet's Job; leave it out (allowed: active",
        ),
        ("kind: Job\nmetadata: {name: x}", "metadata.name: only labels and annotations can be set; leave it out"),
        ("metadata: {namespace: x}", "metadata.namespace: only labels and annotations"),
        ("metadata: {labels: {trioworker.io/job-id: x}}", "metadata.labels.trioworker.io/job-id: the fleet sets it"),
        ("metadata: {labels: {app.kubernetes.io/name: x}}", "metadata.labels.app.kubernetes.io/name: the fleet sets"),
        ("metadata: {labels: {gpu: true}}", "metadata.labels.gpu: is not text; put it in quotes"),
        ("metadata: {labels: [a]}", "metadata.labels: is not a mapping; write its fields below it"),
        ("kind: Job\nspec: {template: {spec: {restartPolicy: x}}}", "spec.template.spec.restartPolicy: the fleet"),
        ("kind: PodTemplate\ntemplate: {spec: {restartPolicy: x}}", "template.spec.restartPolicy: the fleet"),
        (in_worker("args: [x]"), "spec.containers[worker].args: the fleet sets them; leave them out, and give options"),
        (in_worker("env: [{name: IRONCLAW_WORKER_TOKEN, value: x}]"), "[worker].env[IRONCLAW_WORKER_TOKEN]: the fleet"),
        (in_worker("env: [{name: TRIOWORKER_JOB_ID, value: x}]"), "[worker].env[TRIOWORKER_JOB_ID]: the fleet sets it"),
        (in_worker("resources: {limits: {memory: 4GB}}"), "limits.memory: '4GB' is not a Kubernetes quantity"),
        (in_worker("resources: [1]"), "spec.containers[worker].resources: is not a mapping"),
        (in_worker("volumeMounts: [{name: 1}]"), "volumeMounts[0]: its name or mountPath is not text"),
        (in_worker("volumeMounts: [null]"), "volumeMounts[0]: is empty; write its fields after `-`, or remove it"),
        (in_worker("volumeMounts: {a: 1}"), "volumeMounts: is not a list; write its items below it"),
        (in_worker("image: 1"), "spec.containers[worker].image: is not text"),
        ("spec: {initContainers: [{name: worker}]}", "spec.initContainers: `worker` is the name of the fleet's"),
        ("spec: {containers: [{image: x}]}", "spec.containers[0]: has no name; give it one"),
        ("spec: {containers: [{name: a}, {name: a}]}", "spec.containers[1]: duplicate name a; remove one"),
        ("spec: {containers: {name: a}}", "spec.containers: is not a list"),
        ("spec: {volumes: null}", "spec.volumes: is not a list"),
        ("spec: {volumes: [state]}", "spec.volumes[0]: is not a mapping"),
        ("spec: [a]", "spec: is not a mapping"),
        ("kind: Deployment", "kind: Deployment is not one of Job, Pod, PodTemplate; write one of them"),
        ("kind: {a: b}", "is not one of Job, Pod, PodTemplate"),
        ("containers: []", "containers: unknown field; use one of metadata, spec"),
        ("kind: Pod\nstatus: {}", "status: unknown field; use one of apiVersion, kind, metadata, spec"),
        ("kind: Job\nspec: {template: {containers: []}}", "spec.template.containers: unknown field"),
        ("", "not a pod template; write a mapping"),
        ("- a", "not a pod template; write a mapping with `metadata` and `spec`"),
        ("a: b\n---\nc: d", "invalid YAML: but found another document"),
        ("spec: {a", "line 1: invalid YAML: "),
        ("spec:\n  a: 1\n  a: 2", "line 3: duplicate key `a`; remove one"),
        ("spec: {1: 2}", "spec.1: the name is not text; put it in quotes"),
        ("spec: {a: 2024-01-31}", "spec.a: is of type date, which JSON lacks; put it in quotes"),
        ("spec: {a: 2024-13-31}", "a date or number is invalid (month must be in 1..12); put it in quotes"),
        (f"spec: {{a: {'9' * 5000}}}", "a date or number is invalid (Exceeds the limit"),
        (aliases("x"), "it has more than 100,000 values; use fewer aliases"),
        (aliases("{}"), "it has more than 100,000 values; use fewer aliases"),
        ("spec: {a: .nan}", "spec.a: is of type float, which JSON lacks"),
        ("spec: &a {b: *a}", "nested too deeply"),
        ("spec: \x07", "invalid YAML: "),
    ],
)
def test_unusable_template_is_one_line_with_the_field(tmp_path: Path, template: str, why: str) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(template)
    with pytest.raises(ConfigError) as caught:
        read_pod_template(path, ATTEMPTS)
    assert str(caught.value).startswith(f"--pod-template {path}: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pod\.yaml: No such file or directory; name a file with a pod template"):
        read_pod_template(tmp_path / "pod.yaml", ATTEMPTS)
    (tmp_path / "pod.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"pod\.yaml: not UTF-8; save the file as UTF-8"):
        read_pod_template(tmp_path / "pod.yaml", ATTEMPTS)
