"""Quantities of processors, memory and devices, in the grammar of Kubernetes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Quantity = str | int | float

COMPUTE = ("cpu", "memory", "ephemeral-storage")
"""The resources of every node; others, such as devices, have a domain in their names."""
FACTORS = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in zip(range(-3, 0), "num", strict=True)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
# The reference of the API, apimachinery/pkg/api/resource: a number with a binary or decimal suffix or an exponent.
_QUANTITY = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|)([eE][+-]?[0-9]{1,2})?")
_EXTENDED = re.compile(r"(hugepages-|[a-z0-9.-]+/)[A-Za-z0-9._-]+")


def amount(quantity: Quantity) -> Decimal:
    """The number that a quantity such as `500m`, `2Gi` or 0.5 stands for.

    Raises:
        ValueError: it is malformed or negative; the message says what it should be, to follow "is not".
    """
    found = None if isinstance(quantity, bool) else _QUANTITY.fullmatch(str(quantity))
    if found is None or (found[2] and found[3]):
        raise ValueError("a Kubernetes quantity, such as 500m, 2 or 4Gi")
    return Decimal(found[1]) * FACTORS[found[2]] * Decimal(f"1{found[3] or ''}")


def memory(text: str) -> str:
    """A quantity of memory over 0."""
    try:
        # A pod without a whole byte never starts: `512m` is half a byte.
        if amount(text) >= 1:
            return text
    except ValueError:
        pass
    raise ValueError("an amount of memory, such as 512Mi or 2Gi")


def check_resources(resources: Mapping[str, Quantity]) -> None:
    """Check the names and quantities of resources.

    Raises:
        ValueError: a name or quantity is invalid; the message has the name and the remedy.
    """
    for name, quantity in resources.items():
        if name not in COMPUTE and not _EXTENDED.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is unknown; use {', '.join(COMPUTE)}, or a device such as nvidia.com/gpu")
        try:
            value = amount(quantity)
            if name == "memory" and value < 1:
                memory(str(quantity))
            if is_extended(name) and value != int(value):
                raise ValueError("a whole number")
        except ValueError as error:
            raise ValueError(f"{name}: {str(quantity)[:80]!r} is not {error}") from error


def is_extended(name: str) -> bool:
    """Whether the resource can't be overcommitted: it needs a limit, equal to its request."""
    return name not in COMPUTE
