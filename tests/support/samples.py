"""The Kubernetes objects of the documentation."""

from __future__ import annotations

from typing import Any

import yaml

from support.pages import ROOT, blocks

SAMPLES = ROOT / "docs" / "kubernetes"
KUSTOMIZATION = SAMPLES / "kustomization.yaml"


def sample_objects() -> list[dict[str, Any]]:
    """The objects in the files of `docs/kubernetes`."""
    files = sorted(path for path in SAMPLES.glob("*.yaml") if path != KUSTOMIZATION)
    return [found for path in files for found in yaml.safe_load_all(path.read_text())]


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specs of the pods that these objects create."""
    return [each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", {})]


def job_by_hand() -> dict[str, Any]:
    """The Job in docs/containers.md."""
    (block,) = blocks(ROOT / "docs" / "containers.md", "yaml")
    return yaml.safe_load(block.code)


def template_texts() -> list[str]:
    """The pod templates in docs/kubernetes.md."""
    return [block.code for block in blocks(ROOT / "docs" / "kubernetes.md", "yaml")]
