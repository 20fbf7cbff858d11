"""Quantities: the grammar of Kubernetes, and messages about invalid ones."""

from __future__ import annotations

import pytest

from trioworker.fleet.resources import amount, check_resources, memory


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("500m", 0.5),
        ("2", 2),
        (2, 2),
        (0.25, 0.25),
        (".5", 0.5),
        ("2.", 2),
        ("+1", 1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 1.5 * 1024**3),
        ("2E", 2e18),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", 1.2),
        ("100n", 1e-7),
    ],
)
def test_quantity_is_read_as_kubernetes_reads_it(quantity: str | float, expected: float) -> None:
    assert float(amount(quantity)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "quantity", ["", "-1", "2 Gi", "2GB", "4gi", "1Kie3", "Gi", ".", "1e", "1,5", "٣", "nan", "1e999", True]
)
def test_anything_else_is_not_a_quantity(quantity: str | float) -> None:
    with pytest.raises(ValueError, match="a Kubernetes quantity, such as 500m, 2 or 4Gi"):
        amount(quantity)


@pytest.mark.parametrize("text", ["512m", "0", "2GB", ""])
def test_memory_below_a_byte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an amount of memory, such as 512Mi"):
        memory(text)


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": 2, "memory": "4Gi", "nvidia.com/gpu": 1},
        {"ephemeral-storage": "10Gi", "hugepages-2Mi": "100Mi", "gpu.intel.com/i915": "0"},
    ],
)
def test_compute_resources_and_devices_are_accepted(resources: dict[str, str | float]) -> None:
    check_resources(resources)
